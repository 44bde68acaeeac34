// The match grid: a letter for each position of the donor, told apart by letter, fill and border.

const LETTERS = {
  A: "matches",
  P: "may match",
  M: "mismatch",
  "-": "untyped",
};

const letter = (name) =>
  h("span", { class: `position position-${name === "-" ? "none" : name}`, "aria-hidden": "true" }, name);

/** The two positions of a locus; `values` as embedded: letters, then counts and directions. */
function positions(values) {
  if (values === null) return unknown();
  const [first, second] = values;
  return h(
    "span",
    { class: "positions" },
    letter(first),
    letter(second),
    spoken(`${LETTERS[first]}, ${LETTERS[second]}`)
  );
}

const legend = () =>
  h(
    "p",
    { class: "legend" },
    "Donor’s positions: ",
    Object.entries(LETTERS).map(([name, text]) => h("span", { class: "key" }, letter(name), ` ${text}`)),
    h("span", { class: "key" }, "0–2 best to worst case"),
    h("span", { class: "key" }, "? unknown")
  );

/** Everything that is known of a donor at each locus. */
function lociTable(report, i) {
  const range = (best, worst) => (best === null ? "–" : span([best, worst]));
  const rows = report.loci.map(({ name, searched }) => {
    const values = report.value(`locus_${name}`, i);
    const [first, second, count, least, gvh, gvhWorst, hvg, hvgWorst] = values;
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, name, searched === false ? h("span", { class: "unknown" }, " not searched") : null),
      h("td", null, positions([first, second])),
      h("td", { class: "number" }, range(count, least)),
      h("td", { class: "number" }, range(gvh, gvhWorst)),
      h("td", { class: "number" }, range(hvg, hvgWorst))
    );
  });
  const heads = ["Locus", "Positions", "Matches", "GvH", "HvG"];
  return h(
    "table",
    { class: "small" },
    h("caption", null, "Locus by locus"),
    h("thead", null, h("tr", null, heads.map((head, k) => h("th", { scope: "col", class: k > 1 ? "number" : null }, head)))),
    h("tbody", null, rows)
  );
}
