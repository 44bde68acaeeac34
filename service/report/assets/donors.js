// The columns of a patient's donors, on screen and on paper, and what a row opens to.

const TCE_CLASS = {
  match: "good",
  "potential match": "good",
  permissive: "good",
  "non-permissive GvH": "bad",
  "non-permissive HvG": "bad",
};
const STATUS = { temporarily_unavailable: "temporarily unavailable", reserved: "reserved" };

function donorColumns(report, patient, outcome) {
  const rows = report.rowsOf(patient);
  const own = report.patients.id[patient];
  const has = (name) => name in report.rows;
  const text = (key, head, more) => ({
    key,
    head,
    value: (i) => report.value(key, i),
    cell: (i) => report.value(key, i) ?? questioned(),
    ...more,
  });
  const range = (key, head, more) => ({
    key,
    head,
    cls: "number",
    value: (i) => 100 * report.value(key, i)[0] + report.value(key, i)[1],
    cell: (i) => span(report.value(key, i)),
    ...more,
  });
  const chance = (key, head) => ({
    key,
    head,
    cls: "number",
    falls: true,
    value: (i) => report.value(key, i),
    cell: (i) => (report.value(key, i) === null ? questioned() : percent(report.value(key, i))),
  });
  const loci = report.lociOf(rows).map(({ name, searched }, k, all) => ({
    key: `locus_${name}`,
    head: name,
    cls: `locus${k > 0 && !searched && all[k - 1].searched ? " apart" : ""}`,
    note: `HLA-${name}, the donor’s two positions${searched === false ? "; not searched" : ""}`,
    falls: true,
    value: (i) => {
      const [first, second, count, least] = report.value(`locus_${name}`, i);
      return count === null ? `${first}${second}` : 10 * count + least;
    },
    cell: (i) => positions(report.value(`locus_${name}`, i)),
  }));
  const columns = [
    { ...text("rank", "Rank"), cls: "number", value: (i) => report.value("place", i) ?? report.value("rank", i) },
    {
      ...text("donor", "Donor"),
      rowHead: true,
      cls: "donor",
      cell: (i) => identifier(report.value("donor", i)),
      beside: (i) => markTexts(report, i, own).map(([cls, words]) => h("span", { class: `badge ${cls}` }, words)),
    },
    ...relativeColumn(report, rows),
    ...crossmatchColumn(report),
    ...loci,
    range("mismatches", "Mism.", { note: "Mismatches over the searched loci, best to worst case" }),
  ];
  if (has("p10")) columns.push(chance("p10", "P(10/10)"));
  if (has("p9")) columns.push(chance("p9", "P(9/10)"));
  if (has("dpb1_tce")) {
    columns.push({
      ...text("dpb1_tce", "DPB1 TCE"),
      note: "T-cell epitope category of DPB1",
      cell: (i) => {
        const category = report.value("dpb1_tce", i);
        return category === null
          ? questioned()
          : h("span", { class: TCE_CLASS[category] ?? "unknown" }, category.replace("-", "\u2011"));
      },
    });
  }
  if (has("leader")) columns.push(text("leader", "B leader", { note: "HLA-B leader of a single mismatch" }));
  if (outcome) columns.push(...riskColumns(report, patient, outcome));
  columns.push(...doseColumn(report, rows));
  if (has("age_years")) columns.push({ ...text("age_years", "Age"), cls: "number" });
  if (has("sex")) columns.push(text("sex", "Sex"));
  if (has("cmv")) columns.push(text("cmv", "CMV", { cell: (i) => signOf(report.value("cmv", i)) }));
  if (has("abo")) {
    columns.push(
      text("abo", "ABO", {
        cell: (i) => {
          const group = report.value("abo", i);
          return group === null ? questioned() : `${group}${rhesus(report.value("rh", i))}`;
        },
      })
    );
  }
  if (has("type") || has("registry")) {
    columns.push({
      key: "registry",
      head: "Type, registry",
      value: (i) => `${report.value("type", i) ?? ""} ${report.value("registry", i) ?? ""}`,
      cell: (i) => [
        report.value("type", i) ?? questioned(),
        h("br"),
        report.value("registry", i) === null ? questioned() : written(report.value("registry", i), "unknown"),
      ],
    });
  }
  if (has("ranked_below_previous_for")) {
    columns.push(
      text("ranked_below_previous_for", "Below the one above for", {
        cls: "reason",
        cell: (i) => report.value("ranked_below_previous_for", i) || "–",
      })
    );
  }
  return columns;
}

/** What relatives are, where there are any: the relationship and the likeliest class. */
function relativeColumn(report, rows) {
  if (!rows.some((i) => report.value("class", i))) return [];
  return [
    {
      key: "class",
      head: "Relative",
      note: "Relationship, and the likeliest class by descent and typing",
      value: (i) => report.value("class", i),
      cell: (i) =>
        report.value("class", i) === null
          ? "–"
          : [written(report.value("relationship", i) ?? ""), h("br"), written(report.value("class", i))],
    },
  ];
}

const ANSWERS = { positive: "bad", negative: "good" };
const ANSWER_ORDER = ["negative", "not assessable", "positive"];

/** An answer in full, never merged with another one, and what it may be at worst. */
function answerText([answer, worst]) {
  if (answer === null) return questioned();
  const words = answer === "negative" ? "tested negative" : answer;
  const may = worst !== null && worst !== answer ? [h("br"), h("span", { class: "bad" }, `may be ${worst}`)] : null;
  return [h("span", { class: ANSWERS[answer] ?? "unknown" }, words), may];
}

/** The virtual crossmatch, where there is a report of antibodies. */
function crossmatchColumn(report) {
  if (!("antibody" in report.rows)) return [];
  return [
    {
      key: "antibody",
      head: "Crossmatch",
      note: "Virtual crossmatch: positive, tested negative or not assessable; evidence in the row",
      value: (i) => {
        const place = ANSWER_ORDER.indexOf(report.value("antibody", i)[0]);
        return place < 0 ? null : place;
      },
      cell: (i) => [
        answerText(report.value("antibody", i)),
        report.value("antibody_override", i) ? [h("br"), "kept all the same"] : null,
      ],
    },
  ];
}

/** Doses a kg of cord units, as they were ordered by. */
function doseColumn(report, rows) {
  const dose = (i) => [report.value("rank_tnc", i), report.value("rank_cd34", i)];
  if (!rows.some((i) => report.value("type", i) === "cord" && dose(i).some(Boolean))) return [];
  const cell = (i) => {
    if (report.value("type", i) !== "cord") return "–";
    const [tnc, cd34] = dose(i);
    return [tnc ? `TNC ${tnc}` : questioned(), h("br"), cd34 ? `CD34+ ${cd34}` : questioned()];
  };
  const least = (text) => Number(/[\d.]+/.exec(text ?? "")?.[0] ?? NaN);
  return [
    {
      key: "dose",
      head: "Dose a kg",
      cls: "dose",
      note: "10^7 nucleated and 10^6 CD34+ cells a kg of the patient, in steps",
      falls: true,
      value: (i) => {
        const known = least(report.value("rank_tnc", i));
        return report.value("type", i) !== "cord" || Number.isNaN(known) ? null : known;
      },
      cell,
    },
  ];
}

/** A head for a narrow column: only the two words that every reader knows shortened. */
const shortOutcome = ({ text }) => text.replace("acute GVHD grade ", "aGVHD ").replace("chronic GVHD", "cGVHD").replace(/ \(.*/, "");

const signOf = (value) =>
  value === null ? questioned() : value === "positive" ? "pos." : value === "negative" ? "neg." : value;
const rhesus = (value) => (value === "positive" ? "+" : value === "negative" ? "−" : "");

function riskColumns(report, patient, outcome) {
  const key = `risk_${outcome.name}`;
  const most = Math.max(...report.rowsOf(patient).map((i) => report.value(key, i)?.[2] ?? 0), 0.01);
  return [
    {
      key,
      head: `${shortOutcome(outcome)}, 95\u00a0%`,
      cls: "number risk",
      note: `Predicted ${outcome.text} by day ${outcome.days}, with its 95 % interval`,
      value: (i) => report.value(key, i)?.[0] ?? null,
      cell: (i) => {
        const [risk, low, high] = report.value(key, i) ?? [null];
        if (risk === null) return notTold(report, i);
        if (low === null || high === null) return percent(risk);
        return [
          bar(risk, low, high, most),
          percent(risk),
          h("br"),
          h("span", { class: "interval" }, `${(100 * low).toFixed(0)}–${(100 * high).toFixed(0)} %`),
        ];
      },
    },
    {
      key: "difference",
      head: outcome.wanted ? "to highest" : "above lowest",
      cls: "number",
      note: `Difference in percentage points to the patient’s ${outcome.wanted ? "highest" : "lowest"}, with its 95 % interval`,
      value: (i) => report.value(key, i)?.[3] ?? null,
      cell: (i) => difference(report.value(key, i)),
    },
  ];
}

/** A risk that is not there: where the model does not tell it, the reason is said. */
function notTold(report, i) {
  const reason = report.value("risk_not_told", i);
  return reason ? h("span", { class: "unknown", title: reason }, "not told", spoken(`: ${reason}`)) : questioned();
}

/** Percentage points above or below the best of the patient's donors, with their interval. */
function difference(found) {
  const [, , , value, low, high] = found ?? [null, null, null, null];
  if (value === null) return questioned();
  if (low === null || high === null || (value === 0 && low === 0 && high === 0)) return points(value);
  const interval = h("span", { class: "interval" }, `${points(low)} to ${points(high)}`);
  return [points(value), h("br"), interval];
}

function points(share) {
  const text = (100 * Math.abs(share)).toFixed(1);
  if (text === "0.0") return "0";
  return `${share > 0 ? "+" : "−"}${text}`;
}

/** The interval and the prediction, on one scale for all donors of a patient. */
function bar(risk, low, high, most) {
  const at = (value) => (42 * value) / most + 1;
  return svg(
    "svg",
    { class: "bar", viewBox: "0 0 44 8", width: 44, height: 8, "aria-hidden": "true" },
    svg("line", { class: "rule", x1: 1, x2: 43, y1: 4, y2: 4 }),
    svg("line", { class: "range", x1: at(low), x2: at(high), y1: 4, y2: 4 }),
    svg("circle", { class: "point", cx: at(risk), cy: 4, r: 2.4 })
  );
}

/** What the plans and the registry say of a donor, as [class, text]: allocated, requested, away. */
function markTexts(report, i, own) {
  const found = [];
  const add = (cls, text) => found.push([cls, text]);
  const recipient = report.value("allocated_to", i);
  if (recipient === own) add("own", "allocated");
  else if (recipient) add("other", `to ${recipient}`);
  const donor = report.value("donor", i);
  for (const row of report.requestsOf.get(own) ?? []) {
    if (report.requests.donor.at(row) === donor) add("asked", `request ${report.requests.order.at(row)}`);
  }
  const status = report.value("status", i);
  if (status in STATUS) add("away", STATUS[status]);
  return found;
}

const FACT_LABELS = {
  type: "Type",
  sex: "Sex",
  cmv: "CMV",
  abo: "ABO",
  rh: "Rh",
  ancestry: "Ancestry",
  registry: "Registry",
  status: "Status",
  birth_date: "Date of birth",
  age_years: "Age, years",
  weight_kg: "Weight, kg",
  tnc_1e7: "Nucleated cells, 10⁷",
  cd34_1e6: "CD34+ cells, 10⁶",
  category: "Category of the pair",
  leader_genotype: "Patient’s B leader",
  leader_matched: "B leader matched",
  leader_shared: "Shared B leader",
  leader_from_family: "Leader by family",
  dpb1_expression: "DPB1 expression",
};

/** Everything about one donor of a patient. */
function donorDetails(report, patient, i) {
  const names = [...report.facts, ...report.details];
  const facts = names.map((name) => [
    h("dt", null, FACT_LABELS[name]),
    h("dd", null, report.value(name, i) === null ? unknown() : written(report.value(name, i))),
  ]);
  if (report.rows.availability && report.rows.p10) {
    facts.push(h("dt", null, "Available if asked"), h("dd", null, percent(report.value("availability", i))));
  }
  const maternal = report.value("nima", i);
  if (maternal) facts.push(h("dt", null, "Maternal antigens"), h("dd", null, written(maternal)));
  const reason = report.value("risk_not_told", i);
  if (reason) facts.push(h("dt", null, "Risk not told"), h("dd", null, written(reason)));
  const typing = report.value("typing", i);
  return h(
    "div",
    { class: "panels" },
    lociTable(report, i),
    h("div", null, rankReasons(report, i), riskTable(report, i)),
    crossmatchDetails(report, i),
    relativeDetails(report, i),
    h("div", { class: "plain" }, h("h3", { class: "minor" }, "Donor"), h("dl", { class: "facts" }, facts)),
    typing ? h("div", { class: "typing" }, h("h3", { class: "minor" }, "Typing as reported"), h("p", null, written(typing))) : null
  );
}

const SYSTEMS = ["A", "B", "C", "DRB1", "DRB3/4/5", "DQ", "DP"];

/** Every answer of the virtual crossmatch, with what it rests on. */
function crossmatchDetails(report, i) {
  if (!("antibody" in report.rows)) return null;
  const [answer, worst, p, most] = report.value("antibody", i);
  const systems = report.value("antibody_systems", i);
  const rows = SYSTEMS.map((name, k) =>
    systems[k] === null ? null : h("tr", null, h("th", { scope: "row" }, name), h("td", null, answerText([systems[k], null])))
  );
  const [low, high] = report.value("antibody_mfi", i);
  const facts = [];
  const fact = (term, ...text) => facts.push(h("dt", null, term), h("dd", null, text));
  fact("Answer", answerText([answer, worst]));
  if (p !== null) fact("P(positive)", percent(p), most !== null && most - p > 5e-4 ? ` to ${percent(most)} at worst` : null);
  if (low !== null) fact("MFI of the beads", low === high ? grouped(low) : `${grouped(low)} to ${grouped(high)}`);
  fact("Evidence", report.value("antibody_evidence", i) === null ? "nothing positive, or nothing tested" : written(report.value("antibody_evidence", i)));
  const kept = report.value("antibody_override", i);
  if (kept) fact("Kept for", written(kept));
  return h(
    "div",
    { class: "plain crossmatch" },
    h("h3", { class: "minor" }, "Virtual crossmatch"),
    h("dl", { class: "facts" }, facts),
    h("table", { class: "small" }, h("tbody", null, rows))
  );
}

const CLASSES = ["HLA-identical", "identical by type", "one mismatch", "haploidentical", "less than haploidentical"];

/** What the family says of a relative. */
function relativeDetails(report, i) {
  if (!report.value("class", i)) return null;
  const shares = report.value("classes", i);
  const facts = [];
  const fact = (term, ...text) => facts.push(h("dt", null, term), h("dd", null, text));
  fact("Relationship", written(report.value("relationship", i) ?? ""));
  CLASSES.forEach((name, k) => shares[k] >= 0.0005 && fact(name, percent(shares[k])));
  fact("Shares a (paternal)", percent(shares[5]));
  fact("Shares c (maternal)", percent(shares[6]));
  if (shares[7] !== null) fact("Not shared: mother’s other one", percent(shares[7]));
  fact("Haplotypes", written(report.value("haplotypes", i) ?? "unknown"));
  if (report.value("by_descent", i)) fact("By descent alone", report.value("by_descent", i));
  fact("Open phase by", report.value("weighting", i) ?? "not stated");
  const refined = report.value("typing_refined", i);
  return h(
    "div",
    { class: "plain" },
    h("h3", { class: "minor" }, "Family"),
    h("dl", { class: "facts" }, facts),
    refined ? h("div", { class: "typing" }, h("h3", { class: "minor" }, "Refined typing"), h("p", null, written(refined))) : null
  );
}

function rankReasons(report, i) {
  const reason = report.value("ranked_below_previous_for", i);
  const keys = report.keys.filter(({ name }) => report.value(`rank_${name}`, i));
  if (!keys.length) return null;
  const rows = keys.map((key) => {
    const decides = key.reason === reason;
    return h(
      "tr",
      { class: decides ? "decides" : null },
      h("th", { scope: "row" }, key.label),
      h("td", null, report.value(`rank_${key.name}`, i), decides ? " ◂ decides" : null)
    );
  });
  const above = reason ? `Below the rank above for: ${reason}` : report.value("rank", i) === 1 ? `First of ${report.strata.length ? "its stratum" : "all donors"}` : null;
  return h("table", { class: "small" }, h("caption", null, `Why rank ${report.value("rank", i)}`), h("tbody", null, rows), h("tfoot", null, h("tr", null, h("td", { colspan: 2 }, above))));
}

function riskTable(report, i) {
  if (!report.outcomes.length) return null;
  const rows = report.outcomes.map((outcome) => {
    const [risk, low, high] = report.value(`risk_${outcome.name}`, i) ?? [null, null, null];
    const interval = low === null ? unknown() : `${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)} %`;
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, outcome.text),
      h("td", { class: "number" }, `${outcome.days}`),
      h("td", { class: "number" }, risk === null ? notTold(report, i) : percent(risk)),
      h("td", { class: "number" }, interval),
      h("td", { class: "number" }, difference(report.value(`risk_${outcome.name}`, i)))
    );
  });
  const heads = ["Outcome", "By day", "Predicted", "95 % interval", "Points to best, 95 %"];
  return h(
    "table",
    { class: "small" },
    h("caption", null, "Predicted outcomes"),
    h("thead", null, h("tr", null, heads.map((head, k) => h("th", { scope: "col", class: k > 0 ? "number" : null }, head)))),
    h("tbody", null, rows)
  );
}
