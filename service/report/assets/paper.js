// What is printed: all patients, or those that were chosen, without anything to press.

function buildPaper(report, { patients, donors }) {
  const rests = report.provenance.slice(0, 5).map(([term, value]) => `${term} ${value}`).join(" · ");
  const own = (patient) => {
    const rows = report.rowsOf(patient);
    const id = report.patients.id[patient];
    const named = (i) => markTexts(report, i, id).some(([cls]) => cls === "own" || cls === "asked");
    // Of each stratum, whose ranks begin anew.
    const place = (i, k) => (report.strata.length ? report.value("rank", i) - 1 : k);
    const first = rows.filter((i, k) => donors === null || place(i, k) < donors || named(i));
    const left = report.patients.found[patient] - first.length;
    return h(
      "section",
      { class: "patient" },
      h("h2", null, "Patient ", identifier(id)),
      h("p", { class: "legend" }, rests),
      h("div", { class: "top" }, summary(report, patient, null), rows.length ? h("div", { class: "plots" }, chancePlot(report, patient), riskPlot(report, patient, report.outcome)) : null),
      printedTable({
        caption: left > 0 ? `${plural(first.length, "donor")}: the best${report.strata.length ? " of each stratum" : ""}, and those allocated or to be typed; ${grouped(left)} further ones are not printed.` : plural(first.length, "donor"),
        columns: donorColumns(report, patient, report.outcome),
        rows: first,
        empty: "No donor was found within the criteria.",
        group: stratumHeading(report),
      }),
      familyFigure(report, patient)
    );
  };
  const part = (heading, ...content) => h("section", { class: "part" }, h("h2", null, heading), content);
  return [
    h("h1", null, "Donor search report"),
    h("p", null, headline(report)),
    figures(report),
    h("section", null, h("h2", null, "Patients"), printedTable({ caption: patients.length < report.n ? `${patients.length} of ${plural(report.n, "patient")}` : "All patients", columns: patientColumns(report, false), rows: patients, empty: "No patient." })),
    legend(),
    patients.map(own),
    report.allocation
      ? part("Allocation", h("p", { class: "legend" }, ALLOCATION_NOTE), levelsTable(report), printedTable({ caption: "Who is allocated which donor, and why not the best", columns: allocationColumns(report, false), rows: indices(report.allocated), empty: "No patient." }))
      : part("Allocation", absentNote(report, "Allocation")),
    report.plan
      ? part("Typing plan", h("div", { class: "top" }, h("p", { class: "legend" }, PLAN_NOTE), report.requests.order.codes.length ? planPlot(report) : null), printedTable({ caption: "Requests for confirmatory typing", columns: planColumns(report, false), rows: indices(report.requests), empty: "The plan holds no request." }))
      : part("Typing plan", absentNote(report, "Typing plan")),
    part("Rejects and unknowns", openParts(report, printedTable, false)),
    h("section", null, provenance(report)),
  ];
}

/** The button and what it asks before printing; `chosen` is read whenever the page is printed. */
function printControl(report, current, chosen) {
  const dialog = h("dialog", { "aria-labelledby": "print-heading" });
  const print = () => {
    const asked = new FormData(form);
    const most = asked.get("donors");
    chosen.donors = most === "all" ? null : Number(most);
    const open = current();
    chosen.patients = { all: null, listed: report.filtered, open: open === null ? null : [open] }[asked.get("patients")];
    dialog.close();
    window.print();
  };
  const listed = h("option", { value: "listed" });
  const one = h("option", { value: "open" });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "print-heading" }, "Print"),
    h("label", null, "Patients", h("select", { name: "patients" }, h("option", { value: "all" }, `all ${grouped(report.n)}`), listed, one)),
    h("label", null, "Donors of each", h("select", { name: "donors" }, ["10", "25", "50", "all"].map((value) => h("option", { value }, value === "all" ? "all in this report" : `the best ${value}`)))),
    h("p", null, "A4, landscape. Choose “Save as PDF” in the browser’s dialog for a file."),
    h("p", { class: "buttons" }, h("button", { type: "button", onclick: print }, "Print"), h("button", { value: "" }, "Cancel"))
  );
  dialog.append(form);
  const open = () => {
    const patient = current();
    listed.textContent = `the ${plural(report.filtered.length, "patient")} listed by the search`;
    one.textContent = patient === null ? "the open one" : `only ${report.patients.id[patient]}`;
    one.disabled = patient === null;
    if (patient === null && one.selected) one.parentElement.value = "all";
    dialog.showModal();
  };
  return [h("button", { type: "button", onclick: open }, "Print…"), dialog];
}
