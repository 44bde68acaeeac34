// The frame: header, one view at a time by the address, footer, and the paper.

const VIEWS = [
  ["patients", "Patients", patientsView],
  ["allocation", "Allocation", allocationView],
  ["plan", "Typing plan", planView],
  ["open", "Rejects and unknowns", openView],
];

const headline = (report) =>
  [
    plural(report.n, "patient"),
    plural(report.patients.found.reduce((sum, n) => sum + n, 0), "donor"),
    report.day ? `day ${report.day}` : "day not stated",
    report.release ? `release ${report.release}` : "release not stated",
  ].join(" · ");

function start(report) {
  report.filtered = Array.from({ length: report.n }, (_, i) => i);
  const main = h("main", { id: "main", tabindex: "-1" });
  const links = VIEWS.map(([name, text]) => h("a", { href: `#/${name}` }, text));
  const printing = { patients: null, donors: 10 };
  const kept = new Map();
  let open = null;
  let here = null;

  function route(event) {
    if (here !== null) kept.get(here).scroll = window.scrollY;
    const [, name, id] = location.hash.split("/");
    let patient;
    try {
      patient = name === "patient" ? report.position.get(decodeURIComponent(id ?? "")) : undefined;
    } catch {
      patient = undefined;
    }
    open = patient ?? null;
    links.forEach((link, i) => {
      if (VIEWS[i][0] === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
    if (open !== null) {
      here = null;
      main.replaceChildren(patientView(report, open));
      document.title = `Patient ${report.patients.id[open]} · Donor search report`;
      window.scrollTo(0, 0);
    } else {
      const [view, text, make] = VIEWS.find(([known]) => known === name) ?? VIEWS[0];
      links[VIEWS.findIndex(([known]) => known === view)].setAttribute("aria-current", "page");
      here = view;
      if (!kept.has(view)) kept.set(view, { element: make(report), scroll: 0 });
      main.replaceChildren(kept.get(view).element);
      document.title = `${text} · Donor search report`;
      window.scrollTo(0, kept.get(view).scroll);
    }
    // At the first opening the focus stays at the top of the page.
    if (event) document.getElementById("heading").focus({ preventScroll: true });
  }

  const paper = document.getElementById("paper");
  window.addEventListener("beforeprint", () => {
    const patients = printing.patients ?? Array.from({ length: report.n }, (_, i) => i);
    paper.replaceChildren(...buildPaper(report, { patients, donors: printing.donors }).flat(Infinity));
  });
  window.addEventListener("afterprint", () => {
    paper.replaceChildren();
    Object.assign(printing, { patients: null, donors: 10 });
  });
  window.addEventListener("hashchange", route);
  const skip = (event) => {
    event.preventDefault();
    main.focus();
  };
  document.getElementById("screen").replaceChildren(
    h("a", { class: "skip", href: "#main", onclick: skip }, "Skip to the content"),
    h(
      "header",
      null,
      h("div", null, h("h1", null, "Donor search report"), h("p", null, headline(report))),
      h("nav", { "aria-label": "Parts of the report" }, links),
      h("div", { class: "tools" }, printControl(report, () => open, printing))
    ),
    main,
    h("footer", null, provenance(report))
  );
  route(null);
}

embedded()
  .then((content) => start(new Report(content)))
  .catch((error) => {
    const notice = document.getElementById("opening");
    if (!notice) throw error;
    notice.textContent = `The report cannot be opened. ${error.message}`;
    notice.setAttribute("role", "alert");
  });
