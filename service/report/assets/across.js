// What concerns all patients: the allocation, the typing plan, and what is missing or was refused.

const patientLink = (report, id, link) =>
  link && report.position.has(id) ? h("a", { href: hrefOf(id), "data-row": id }, identifier(id)) : identifier(id);

function view(heading, ...content) {
  return h("section", { "aria-labelledby": "heading" }, h("h2", { id: "heading", tabindex: "-1" }, heading), content);
}

function allocationColumns(report, link) {
  const columns = report.allocated;
  const patient = (i) => report.position.get(columns.patient.at(i));
  const donor = (key, head) => ({
    key,
    head,
    value: (i) => columns[key].at(i) || null,
    cell: (i) => (columns[key].at(i) ? identifier(columns[key].at(i)) : "–"),
  });
  const rank = (key) => ({
    key: `${key}_rank`,
    head: "its rank",
    cls: "number",
    value: (i) => rankOf(report, patient(i), columns[key].at(i)),
    cell: (i) => rankOf(report, patient(i), columns[key].at(i)) ?? "–",
  });
  const text = (key, head) => ({ ...donor(key, head), cls: "reason", cell: (i) => columns[key].at(i) || "–" });
  const number = (key, head, note, value) => ({
    key,
    head,
    note,
    cls: "number",
    falls: true,
    value,
    cell: (i) => (value(i) === null ? "–" : grouped(value(i))),
  });
  return [
    {
      key: "patient",
      head: "Patient",
      rowHead: true,
      value: (i) => columns.patient.at(i),
      cell: (i) => patientLink(report, columns.patient.at(i), link),
    },
    {
      ...donor("allocated", "Allocated"),
      cell: (i) => (columns.allocated.at(i) ? identifier(columns.allocated.at(i)) : h("span", { class: "bad" }, "none")),
    },
    rank("allocated"),
    ...(columns.second.levels.some(Boolean) ? [donor("second", "Second unit")] : []),
    number("utility", "Utility", "What the pair is worth; 3,411 at most", (i) => (columns.allocated.at(i) ? columns.utility.at(i) : null)),
    donor("first", "Rank 1"),
    text("not_first_for", "Why not rank 1"),
    donor("best", "Best for the plan"),
    text("reason", "Why not the best"),
    donor("best_given_to", "Best given to"),
    ...(columns.limit.levels.some(Boolean) ? [text("limit", "Limit")] : []),
    number("swap_cost", "Swap cost", "What the plan as a whole loses by giving the patient its best", (i) => (columns.reason.at(i) && columns.best.at(i) ? columns.swap_cost.at(i) : null)),
    {
      key: "backups",
      head: "Backups",
      value: (i) => columns.backups.at(i).length,
      cell: (i) => (columns.backups.at(i).length ? columns.backups.at(i).map((d, k) => [k ? ", " : null, identifier(d)]) : "–"),
    },
  ];
}

const ALLOCATION_NOTE =
  "One plan for all patients: as many served as possible, then the most urgency-weighted utility, then the least change. " +
  "The best for the plan is the candidate of highest utility, which may differ from rank 1. The swap cost is what the plan " +
  "as a whole loses if this patient must get its best candidate; 0 is a tie, – where it was not searched or not possible.";

function levelsTable(report) {
  const { levels, status } = report.allocation;
  if (!levels.length) return h("p", { class: "legend" }, "The results do not state the bounds of this plan.");
  const heads = ["Objective", "Reached", "Best", "Bound", "Floor for what follows"];
  return h(
    "table",
    { class: "small" },
    h("caption", null, `Objectives in their order: ${status}`),
    h("thead", null, h("tr", null, heads.map((head, k) => h("th", { scope: "col", class: k > 0 ? "number" : null }, head)))),
    h(
      "tbody",
      null,
      levels.map((level) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, level.objective),
          ["reached", "best", "bound", "least"].map((name) => h("td", { class: "number" }, grouped(level[name])))
        )
      )
    )
  );
}

function allocationView(report) {
  if (!report.allocation) return view("Allocation", absentNote(report, "Allocation"));
  const rows = indices(report.allocated);
  const status = h("p", { role: "status", class: "count" });
  const table = sortedTable({
    caption: "Who is allocated which donor, and why not the first and the best. Arrow keys move between rows.",
    columns: allocationColumns(report, true),
    rows,
    empty: "No patient passes this filter.",
  });
  const only = h("input", { type: "checkbox", name: "only" });
  const search = h("input", { type: "search", name: "text", size: 20, placeholder: "patient or donor" });
  const apply = () => {
    const word = search.value.trim().toLowerCase();
    const names = ["patient", "allocated", "second", "best", "best_given_to"];
    const kept = rows.filter(
      (i) =>
        (!only.checked || report.allocated.reason.at(i)) &&
        names.some((name) => report.allocated[name].at(i).toLowerCase().includes(word))
    );
    table.show(kept);
    status.textContent = kept.length === rows.length ? plural(rows.length, "patient") : `${grouped(kept.length)} of ${plural(rows.length, "patient")}`;
  };
  const form = h(
    "form",
    { class: "filters", "aria-label": "Filter the allocation", oninput: apply, onsubmit: (event) => event.preventDefault() },
    h("label", null, "Search", search),
    h("label", { class: "check" }, only, "only those not given their best"),
    status
  );
  apply();
  return view("Allocation", h("p", { class: "legend" }, ALLOCATION_NOTE), levelsTable(report), form, table.element);
}

function planColumns(report, link) {
  const { requests } = report;
  let sum = 0;
  const sums = requests.gain.codes.map((_, i) => (sum += requests.gain.at(i)));
  const patient = (i) => report.position.get(requests.patient.at(i));
  const share = (key, head) => ({
    key, head, cls: "number", falls: true, value: (i) => requests[key].at(i), cell: (i) => percent(requests[key].at(i)),
  });
  const rank = (i) => rankOf(report, patient(i), requests.donor.at(i));
  return [
    { key: "order", head: "Request", cls: "number", value: (i) => requests.order.at(i), cell: (i) => `${requests.order.at(i)}` },
    {
      key: "patient",
      head: "Patient",
      rowHead: true,
      value: (i) => requests.patient.at(i),
      cell: (i) => patientLink(report, requests.patient.at(i), link),
    },
    { key: "donor", head: "Donor to be typed", value: (i) => requests.donor.at(i), cell: (i) => identifier(requests.donor.at(i)) },
    { key: "rank", head: "its rank", cls: "number", value: rank, cell: (i) => rank(i) ?? "–" },
    share("p10", "P(10/10)"),
    share("p9", "P(9/10)"),
    share("availability", "Available"),
    { key: "gain", head: "Gain", note: "What the request adds to those before it", cls: "number", falls: true, value: (i) => requests.gain.at(i), cell: (i) => requests.gain.at(i).toFixed(3) },
    { key: "sum", head: "Sum so far", cls: "number", value: (i) => sums[i], cell: (i) => sums[i].toFixed(3) },
  ];
}

const PLAN_NOTE =
  "Requests for confirmatory typing, in the order in which they most raise the expected number of patients who find an " +
  "available 10/10 donor. Each donor is asked for one patient at most.";

function planView(report) {
  if (!report.plan) return view("Typing plan", absentNote(report, "Typing plan"));
  const table = sortedTable({
    caption: "Requests for confirmatory typing. Arrow keys move between rows.",
    columns: planColumns(report, true),
    rows: indices(report.requests),
    empty: "The plan holds no request.",
  });
  return view(
    "Typing plan",
    h(
      "div",
      { class: "top" },
      h("p", { class: "legend" }, PLAN_NOTE),
      report.requests.order.codes.length ? planPlot(report) : null
    ),
    table.element
  );
}

const absentNote = (report, what) =>
  h("p", { class: "notice" }, `${what}: ${report.absent.find(([name]) => name === what)[1]}.`);

function rejectColumns(report) {
  const text = (key, head, more) => ({
    key, head, value: (i) => report.rejected[key].at(i), cell: (i) => written(report.rejected[key].at(i) || "–"), ...more,
  });
  return [text("record", "Record", { cls: "number" }), text("id", "Identifier", { rowHead: true }), text("reason", "Reason")];
}

function noteColumns(report, link) {
  const { patient, note } = report.told;
  return [
    { key: "patient", head: "Patient", rowHead: true, value: (i) => patient.at(i), cell: (i) => patientLink(report, patient.at(i), link) },
    { key: "note", head: "Note", value: (i) => note.at(i), cell: (i) => written(note.at(i)) },
  ];
}

function unknownColumns(report, link) {
  return [
    {
      key: "patient",
      head: "Patient",
      rowHead: true,
      value: (i) => report.patients.id[i],
      cell: (i) => patientLink(report, report.patients.id[i], link),
    },
    { key: "candidates", head: "Donors in the results", cls: "number", falls: true, value: (i) => report.patients.candidates[i], cell: (i) => grouped(report.patients.candidates[i]) },
    {
      key: "unknown",
      head: "P unknown",
      cls: "number",
      falls: true,
      value: (i) => report.patients.unknown_p?.[i] ?? null,
      cell: (i) => (report.patients.unknown_p ? grouped(report.patients.unknown_p[i]) : "all"),
    },
    { key: "what", head: "What is open", value: (i) => openPoints(report, i), cell: (i) => openPoints(report, i) },
  ];
}

function openPoints(report, patient) {
  const total = report.patients.candidates[patient];
  if (!total) return "no donor found within the criteria";
  const without = report.patients.unknown_p?.[patient] ?? total;
  return without === total ? "P unknown for every donor" : "P unknown for some donors";
}

/** The parts of the page of what is missing, each with a heading; `make` draws a table. */
function openParts(report, make, link) {
  const patients = Array.from({ length: report.n }, (_, i) => i).filter(
    (i) => !report.patients.candidates[i] || !report.patients.unknown_p || report.patients.unknown_p[i] > 0
  );
  const rejects = report.rejects ? indices(report.rejected) : [];
  const notes = report.told ? indices(report.told) : [];
  const parts = [
    h("h3", null, `Patients without donors or with unknown probabilities: ${grouped(patients.length)}`),
    patients.length
      ? make({ caption: "A probability is unknown where the frequency set does not represent a typing. Unknown is neither a match nor a mismatch.", columns: unknownColumns(report, link), rows: patients, empty: "" })
      : h("p", null, "None."),
    h("h3", null, `Rejected records: ${report.rejects ? grouped(rejects.length) : "no file"}`),
    rejects.length
      ? make({ caption: "Records of the patients’ file that could not be used. They were not searched.", columns: rejectColumns(report), rows: rejects, empty: "" })
      : h("p", null, report.rejects ? "None." : "No file of rejects stands beside the results."),
    h("h3", null, `Notes on patients’ typings: ${report.told ? grouped(notes.length) : "none"}`),
    notes.length
      ? make({ caption: "How renamed or deleted names were followed.", columns: noteColumns(report, link), rows: notes, empty: "" })
      : null,
    h("h3", null, `Not in these results: ${report.absent.length}`),
    report.absent.length
      ? h("ul", null, report.absent.map(([what, why]) => h("li", null, h("strong", null, what), `: ${why}.`)))
      : h("p", null, "Nothing is missing."),
  ];
  return parts;
}

const openView = (report) => view("Rejects and unknowns", openParts(report, (options) => sortedTable(options).element, true));

/** What the answers depend on. */
function provenance(report) {
  return [
    h("h2", null, "What this rests on"),
    h("dl", { class: "provenance" }, report.provenance.map(([term, value]) => h("div", null, h("dt", null, term), h("dd", null, written(value))))),
    h("p", null, `Written by graftmatch ${report.version}. `, h("strong", null, "Decision support for clinicians, not a medical device."), " A person qualified to choose a donor must check every result against the laboratory’s reports."),
  ];
}
