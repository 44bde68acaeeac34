// One patient: what was found, two plots, and the donors with their filters.

function patientView(report, patient) {
  const id = report.patients.id[patient];
  const rows = report.rowsOf(patient);
  let outcome = report.outcome;
  const status = h("p", { role: "status", class: "count" });
  const holder = h("div", null);
  const plots = h("div", { class: "plots" });
  let table;

  function build() {
    table = sortedTable({
      caption: `Donors of patient ${id}, in the order of rank. Arrow keys move between rows, Enter opens one, Escape closes it.`,
      columns: donorColumns(report, patient, outcome),
      rows,
      tight: report.lociOf(rows).length > 7,
      details: (i) => donorDetails(report, patient, i),
      empty: "No donor passes these filters.",
      group: stratumHeading(report),
    });
    holder.replaceChildren(table.element);
    plots.replaceChildren(chancePlot(report, patient), riskPlot(report, patient, outcome));
  }

  const beside = (step, text, rel) => {
    const other = report.patients.id[patient + step];
    return other === undefined ? null : h("a", { href: hrefOf(other), rel }, text);
  };
  const heading = (more) =>
    h(
      "div",
      { class: "heading" },
      h("h2", { id: "heading", tabindex: "-1" }, "Patient ", identifier(id)),
      h("div", { class: "beside" }, more, beside(-1, "‹ previous patient", "prev"), beside(1, "next patient ›", "next"))
    );
  if (!rows.length) {
    const none = h("p", { class: "notice" }, "No donor was found within the criteria.");
    return h("section", { "aria-labelledby": "heading" }, heading(null), summary(report, patient, null), none);
  }
  const filters = donorFilters(report, patient, (kept) => {
    table.show(kept);
    const all = kept.length === rows.length;
    status.textContent = all ? plural(rows.length, "donor") : `${kept.length} of ${plural(rows.length, "donor")}`;
  });
  const choice = (event) => {
    outcome = report.outcomes.find(({ name }) => name === event.target.value);
    report.outcome = outcome;
    build();
    filters.apply();
  };
  const outcomes =
    report.outcomes.length > 1
      ? h(
          "label",
          null,
          "Risk shown ",
          h("select", { name: "outcome", onchange: choice }, report.outcomes.map(({ name, text }) => h("option", { value: name, selected: name === outcome.name }, text)))
        )
      : null;
  build();
  filters.apply();
  const open = (donor) => {
    filters.clear();
    table.open(report.rowOf(patient, donor));
  };
  return h(
    "section",
    { "aria-labelledby": "heading" },
    heading(outcomes),
    h("div", { class: "top" }, summary(report, patient, open), plots),
    filters.element,
    h("div", { class: "above" }, legend(), notShown(report, rows), status),
    holder,
    familyFigure(report, patient)
  );
}

/** The heading of a stratum, or null where there are none: what it holds, and why in this order. */
function stratumHeading(report) {
  if (!report.strata.length) return null;
  return (i) => {
    const stratum = report.stratumOf(i);
    const [{ name, text, ordered }, n] = [stratum, report.strata.indexOf(stratum) + 1];
    const order = ordered ? h("span", { class: "order" }, `below another for: ${ordered}`) : null;
    return { key: name, content: [`Stratum ${n} of ${report.strata.length}: ${text} `, order] };
  };
}

/** The pedigree of a patient with its haplotypes, null where there is none. */
function familyFigure(report, patient) {
  const family = report.families[report.patients.id[patient]];
  if (!family) return null;
  // As an image nothing in it can run or be asked for.
  const source = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(family.svg)}`;
  return h(
    "figure",
    { class: "family" },
    h("h3", null, "Family"),
    family.warnings.map((text) => h("p", { class: "warning" }, written(text))),
    h("img", { src: source, alt: "Pedigree with the haplotypes of every member; the same is in the rows of the relatives." }),
    h("figcaption", { class: "legend" }, written(family.explanation))
  );
}

const hrefOf = (id) => `#/patient/${encodeURIComponent(id)}`;

/** What is known of a patient in a few lines; `open` makes donors buttons that lead to their row. */
function summary(report, patient, open) {
  const { patients } = report;
  const [found, total, shown] = [patients.found[patient], patients.candidates[patient], report.rowsOf(patient).length];
  const name = (donor) => {
    const row = report.rowOf(patient, donor);
    const stratum = row === null ? null : report.value("stratum", row);
    const rank = row === null ? null : ` (rank ${report.value("rank", row)}${stratum ? `, ${stratum}` : ""})`;
    if (row === null || !open) return [identifier(donor), rank];
    return [h("button", { type: "button", class: "link", onclick: () => open(donor) }, identifier(donor)), rank];
  };
  const lines = [];
  const line = (term, ...text) => lines.push(h("dt", null, term), h("dd", null, ...text));
  const named = shown - patients.first_ranks[patient];
  line(
    "Donors",
    `${grouped(found)} found`,
    shown < found ? `; here ${report.strata.length ? `${grouped(shown)}, the best of each stratum` : `the best ${grouped(patients.first_ranks[patient])}`}` : null,
    shown < found && named && !report.strata.length ? ` and ${named} that a plan names` : null
  );
  if (total) {
    const at = patients.at[patient].map((n, k) => (n ? `${grouped(n)} with ${k}` : null)).filter(Boolean);
    line("Mismatches at best", at.join(", "), total < found ? ` of the ${grouped(total)} best` : null);
  }
  if (patients.unknown_p) {
    const count = patients.unknown_p[patient];
    if (count) line("P unknown", `${grouped(count)} of ${plural(total, "donor")}`);
    const fails = patients.fails[patient];
    if (fails !== null) line("If all are typed", `${chanceText(fails)} chance of an available 10/10 donor`);
  }
  const given = report.given(patient);
  if (report.allocation && !given) line("Allocated", "the plan does not name this patient");
  if (given) {
    line("Allocated", given.allocated ? name(given.allocated) : "no donor", given.second ? [" with ", name(given.second)] : null);
    const alike = given.best === given.first;
    if (given.not_first_for) {
      const cost = alike && given.reason ? swap(given) : null;
      line("Not rank 1", given.first ? [name(given.first).slice(0, 1), ": "] : null, report.whyNotFirst(given), cost);
    }
    if (given.reason && !alike) {
      line("Best for the plan", given.best ? [name(given.best), ", "] : null, report.whyNotBest(given), swap(given));
    }
    if (given.backups.length) line("Backups", given.backups.map((donor, k) => [k ? ", " : null, name(donor)]));
  }
  if (report.plan) {
    const asked = report.asked(patient);
    const text = asked.map((row, k) => [k ? ", " : null, name(report.requests.donor.at(row))]);
    line("Typing requests", asked.length ? text : "none");
  }
  if (report.strata.length) {
    line("Strata", "in the order that was asked for; ranks of two strata do not compare, the risk does");
  }
  const tested = report.antibodies[patients.id[patient]];
  if (tested) {
    const [least, most] = tested.virtual_pra.map((share) => (100 * share).toFixed(1));
    line(
      "Antibodies",
      `of ${plural(tested.donors_of_registry, "donor")} of the registry ${grouped(tested.negative)} tested negative, ` +
        `${grouped(tested.not_assessable)} not assessable, ${grouped(tested.open)} may be positive, ` +
        `${grouped(tested.positive)} positive; ${plural(tested.left_out, "candidate")} left out`
    );
    line("Virtual PRA", least === most ? `${least} %` : `${least} to ${most} %`);
    for (const text of tested.own_type) line("Own type", h("span", { class: "bad" }, written(text)));
  }
  for (const note of report.notesOf(patient)) line("Note", written(note));
  return h("dl", { class: "summary" }, lines);
}

const swap = (given) =>
  given.best && given.swap_cost !== null ? `; a swap costs ${grouped(given.swap_cost)}` : null;

/** Loci that have no column since no donor here is typed at them. */
function notShown(report, rows) {
  const shown = report.lociOf(rows);
  const left = report.loci.filter((locus) => !shown.includes(locus)).map(({ name }) => name);
  if (!left.length) return null;
  return h("p", { class: "legend" }, `No column: ${left.join(", ")}, untyped in every pair.`);
}

/** A form of filters over donors. Calls `changed(rows)`; {element, apply(), clear()}. */
function donorFilters(report, patient, changed) {
  const rows = report.rowsOf(patient);
  const values = (name) => [...new Set(rows.map((i) => report.value(name, i)).filter((v) => v !== null))].sort();
  const select = (name, label, options) =>
    options.length < 2
      ? null
      : h("label", null, label, h("select", { name }, h("option", { value: "" }, "any"), options.map(([value, text]) => h("option", { value }, text))));
  const plain = (name, label) => (name in report.rows ? select(name, label, values(name).map((v) => [v, v])) : null);
  const number = (name, label, most) =>
    h("label", null, label, h("input", { name, type: "number", min: 0, max: most, inputmode: "decimal" }));
  const mismatches = [...new Set(rows.map((i) => report.value("mismatches", i)[0]))].sort((a, b) => a - b);
  const form = h(
    "form",
    { "aria-label": "Filter donors", class: "filters", onsubmit: (event) => event.preventDefault() },
    h("label", null, "Search", h("input", { name: "text", type: "search", size: 22, placeholder: "donor, registry, any text" })),
    select("mismatches", "Mismatches", mismatches.map((k) => [k, k ? `at most ${k}` : "0"])),
    "p10" in report.rows ? number("p10", "P(10/10) from %", 100) : null,
    plain("dpb1_tce", "DPB1 TCE"),
    "age_years" in report.rows ? [number("from", "Age from", 120), number("to", "to", 120)] : null,
    plain("sex", "Sex"),
    plain("cmv", "CMV"),
    plain("abo", "ABO"),
    plain("type", "Type"),
    plain("stratum", "Stratum"),
    plain("class", "Class"),
    "antibody" in report.rows
      ? select("antibody", "Crossmatch", [...new Set(rows.map((i) => report.value("antibody", i)[0]).filter(Boolean))].map((v) => [v, v]))
      : null,
    h("label", { class: "check" }, h("input", { name: "unknown", type: "checkbox", checked: true }), "keep unknown"),
    h("button", { type: "button", onclick: () => clear() }, "Clear")
  );
  const texts = new Map();
  const own = report.patients.id[patient];
  const names = ["donor", "dpb1_tce", "leader", "ranked_below_previous_for", "allocated_to", "typing", "class", "relationship", "antibody_evidence", ...report.facts];
  const textOf = (i) => {
    if (!texts.has(i)) {
      const words = [...names.map((name) => report.value(name, i) ?? ""), ...markTexts(report, i, own).map(([, text]) => text)];
      texts.set(i, words.join("\n").toLowerCase());
    }
    return texts.get(i);
  };

  function apply() {
    const asked = Object.fromEntries(new FormData(form));
    const words = asked.text.toLowerCase().split(/\s+/).filter(Boolean);
    const keep = "unknown" in asked;
    // A value that is unknown passes only where that is wanted.
    const passes = (value, test) => (value === null ? keep : test(value));
    const tests = [(i) => words.every((word) => textOf(i).includes(word))];
    if (asked.mismatches) tests.push((i) => report.value("mismatches", i)[0] <= Number(asked.mismatches));
    if (asked.p10) {
      const least = Number(asked.p10) / 100 - 1e-9;
      tests.push((i) => passes(report.value("p10", i), (p) => p >= least));
    }
    if (asked.from) tests.push((i) => passes(report.value("age_years", i), (age) => age >= Number(asked.from)));
    if (asked.to) tests.push((i) => passes(report.value("age_years", i), (age) => age <= Number(asked.to)));
    if (asked.antibody) tests.push((i) => report.value("antibody", i)[0] === asked.antibody);
    for (const name of ["dpb1_tce", "sex", "cmv", "abo", "type", "stratum", "class"]) {
      const nothing = name === "dpb1_tce" ? (v) => v === "unknown" || v === "untyped" : () => false;
      if (asked[name]) {
        tests.push((i) => passes(report.value(name, i), (v) => v === asked[name] || (keep && nothing(v))));
      }
    }
    changed(rows.filter((i) => tests.every((test) => test(i))));
  }

  function clear() {
    form.reset();
    apply();
  }

  form.addEventListener("input", apply);
  return { element: form, apply, clear };
}
