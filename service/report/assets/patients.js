// All patients: one line each, searched and filtered.

function patientColumns(report, link) {
  const { patients } = report;
  const first = (i) => (report.rowsOf(i).length ? patients.starts[i] : null);
  const of = (name, i) => (first(i) === null ? null : report.value(name, first(i)));
  const chance = (key, head, note, value) => ({
    key,
    head,
    note,
    cls: "number",
    falls: true,
    value,
    cell: (i) => (value(i) === null ? (patients.candidates[i] ? questioned() : "–") : percent(value(i))),
  });
  const count = (key, head, value, note) => ({
    key, head, note, value, cls: "number", falls: true, cell: (i) => grouped(value(i)),
  });
  const columns = [
    {
      key: "patient",
      head: "Patient",
      rowHead: true,
      value: (i) => patients.id[i],
      cell: (i) =>
        link
          ? h("a", { href: hrefOf(patients.id[i]), "data-row": i }, identifier(patients.id[i]))
          : identifier(patients.id[i]),
    },
    count("found", "Donors", (i) => patients.found[i], "Donors within the criteria"),
    // Where the results hold the best ones only, what follows is of these.
    ...(patients.found.some((n, i) => n > patients.candidates[i])
      ? [count("candidates", "in the results", (i) => patients.candidates[i], "The best of them; the columns to the right are of these")]
      : []),
    ...Array.from({ length: patients.at[0]?.length ?? 0 }, (_, k) =>
      count(`at${k}`, `${k} mism.`, (i) => patients.at[i][k], `Donors of the results with ${k} mismatches at best`)
    ),
    {
      key: "first",
      head: "First donor",
      value: (i) => of("donor", i),
      cell: (i) => (first(i) === null ? "–" : identifier(of("donor", i))),
    },
  ];
  if (report.rows.p10) {
    columns.push(
      chance("p10", "P(10/10) of first", null, (i) => of("p10", i)),
      chance("best", "Highest P(10/10)", "Over all donors of the results", (i) => patients.best_p10[i]),
      {
        ...chance("find", "Chance if all typed", "That one of the donors of the results is available and 10/10", (i) =>
          patients.fails[i] === null ? null : 1 - patients.fails[i]
        ),
        cell: (i) => {
          if (patients.fails[i] !== null) return chanceText(patients.fails[i]);
          return patients.candidates[i] ? questioned() : "–";
        },
      }
    );
  }
  if (report.outcome) {
    const key = `risk_${report.outcome.name}`;
    const head = `${shortOutcome(report.outcome)}, first donor`;
    columns.push(chance("risk", head, `Predicted ${report.outcome.text}`, (i) => of(key, i)?.[0] ?? null));
  }
  if (report.allocation) {
    columns.push(
      {
        key: "allocated",
        head: "Allocated",
        value: (i) => report.given(i)?.allocated || null,
        cell: (i) => (report.given(i)?.allocated ? identifier(report.given(i).allocated) : h("span", { class: "bad" }, "none")),
      },
      {
        key: "rank",
        head: "its rank",
        cls: "number",
        value: (i) => rankOf(report, i, report.given(i)?.allocated),
        cell: (i) => rankOf(report, i, report.given(i)?.allocated) ?? "–",
      }
    );
  }
  if (report.plan) columns.push(count("asked", "Typing requests", (i) => report.asked(i).length));
  columns.push({
    key: "remarks",
    head: "Remarks",
    cls: "reason",
    value: (i) => remarks(report, i).join("; ") || null,
    cell: (i) => remarks(report, i).join("; ") || "–",
  });
  return columns;
}

function rankOf(report, patient, donor) {
  const row = donor ? report.rowOf(patient, donor) : null;
  return row === null ? null : report.value("rank", row);
}

/** What a coordinator must not overlook about a patient. */
function remarks(report, patient) {
  const found = [];
  const total = report.patients.candidates[patient];
  const without = report.patients.unknown_p?.[patient] ?? 0;
  if (!total) found.push("no donor found");
  if (without === total && total) found.push("P unknown for all donors");
  else if (without) found.push(`P unknown for ${plural(without, "donor")}`);
  const given = report.given(patient);
  if (given?.not_first_for && total) found.push(`not rank 1: ${report.whyNotFirst(given)}`);
  const why = report.whyNotBest(given);
  if (why && total && given.best !== given.first) found.push(`best for the plan, ${given.best}, ${why}`);
  if (report.allocation && !given) found.push("not in the allocation");
  return found;
}

const PATIENT_FILTERS = [
  ["", "all patients", () => true],
  ["none", "without donors", (report, i) => !report.patients.candidates[i]],
  ["unknown", "with unknown P", (report, i) => report.patients.unknown_p?.[i] > 0],
  ["low", "highest P(10/10) below 50 %", (report, i) => (report.patients.best_p10?.[i] ?? 0) < 0.5],
  ["unserved", "without an allocated donor", (report, i) => report.allocation && !report.given(i)?.allocated],
  ["second", "not allocated rank 1", (report, i) => Boolean(report.given(i)?.not_first_for)],
  ["asked", "with typing requests", (report, i) => report.asked(i).length > 0],
];

function patientsView(report) {
  const all = Array.from({ length: report.n }, (_, i) => i);
  const status = h("p", { role: "status", class: "count" });
  const table = sortedTable({
    caption: "All patients, in the order of the results. Arrow keys move between rows, Enter opens a patient.",
    columns: patientColumns(report, true),
    rows: all,
    empty: "No patient passes this search.",
  });
  const search = h("input", { name: "text", type: "search", size: 26, placeholder: "patient, donor, remark" });
  const choice = h(
    "select",
    { name: "show" },
    PATIENT_FILTERS.filter(([value, , test]) => !value || all.some((i) => test(report, i))).map(([value, text]) => h("option", { value }, text))
  );
  const form = h(
    "form",
    { "aria-label": "Search patients", class: "filters", onsubmit: (event) => event.preventDefault() },
    h("label", null, "Search", search),
    h("label", null, "Show", choice),
    h("button", { type: "button", onclick: () => clear() }, "Clear"),
    status
  );

  function apply() {
    const [, , test] = PATIENT_FILTERS.find(([value]) => value === choice.value);
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const tests = words.map((word) => matching(report, word));
    const kept = all.filter((i) => test(report, i) && tests.every((passes) => passes(i)));
    table.show(kept);
    report.filtered = kept;
    status.textContent =
      kept.length === all.length ? plural(all.length, "patient") : `${grouped(kept.length)} of ${plural(all.length, "patient")}`;
  }

  function clear() {
    form.reset();
    apply();
  }

  form.addEventListener("input", apply);
  apply();
  return h(
    "section",
    { "aria-labelledby": "heading" },
    h("h2", { id: "heading", tabindex: "-1" }, "Patients"),
    figures(report),
    form,
    table.element
  );
}

/** A test of patients by one word: their identifier, a remark, or a donor of theirs. */
function matching(report, word) {
  const { levels, codes } = report.rows.donor;
  const hits = new Set(levels.flatMap((donor, code) => (donor.toLowerCase().includes(word) ? [code] : [])));
  return (patient) => {
    if (report.patients.id[patient].toLowerCase().includes(word)) return true;
    if (remarks(report, patient).join(" ").toLowerCase().includes(word)) return true;
    return hits.size > 0 && report.rowsOf(patient).some((i) => hits.has(codes[i]));
  };
}

/** The whole in numbers. */
function figures(report) {
  const { patients } = report;
  const total = patients.found.reduce((sum, n) => sum + n, 0);
  const count = (test) => patients.id.filter((_, i) => test(i)).length;
  const items = [
    ["patients", grouped(report.n)],
    ["with donors", grouped(count((i) => patients.candidates[i]))],
    ["donors found", grouped(total)],
    ["in this report", grouped(report.rows.donor.codes.length)],
  ];
  if (patients.best_p10) items.push(["with a donor of P(10/10) ≥ 95 %", grouped(count((i) => patients.best_p10[i] >= 0.95))]);
  if (patients.unknown_p) items.push(["with unknown P", grouped(count((i) => patients.unknown_p[i]))]);
  if (report.allocation) items.push(["allocated", grouped(count((i) => report.given(i)?.allocated))]);
  if (report.plan) items.push(["typing requests", grouped(report.requests.order.codes.length)]);
  if (report.rejects) items.push(["records rejected", grouped(report.rejected.record.codes.length)]);
  return h("dl", { class: "figures" }, items.map(([term, value]) => h("div", null, h("dt", null, term), h("dd", null, value))));
}
