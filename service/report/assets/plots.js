// Two plots of a patient and one of the plan, as SVG: no library, readable without colour.

const PLOT = { width: 400, height: 172, left: 58, right: 22, top: 8, bottom: 34 };

/** Ticks from 0: at most six round steps up to `most`. */
function ticks(most) {
  const step = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000].find(
    (size) => most / size <= 6
  );
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, k) => k * step);
}

/** Axes, and scales to draw with. `x`, `y`: {most, label, ticks}, from 0; ticks as [value, text]. */
function axes(x, y, label) {
  const { width, height, left, right, top, bottom } = PLOT;
  const atX = (value) => left + ((width - left - right) * value) / x.most;
  const atY = (value) => height - bottom - ((height - top - bottom) * value) / y.most;
  const element = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "plot" },
    y.ticks.map(([value, text]) => [
      svg("line", { class: "rule", x1: left, x2: width - right, y1: atY(value), y2: atY(value) }),
      svg("text", { class: "tick", x: left - 6, y: atY(value) + 3.5, "text-anchor": "end" }, text),
    ]),
    x.ticks.map(([value, text]) =>
      svg("text", { class: "tick", x: atX(value), y: height - bottom + 14, "text-anchor": "middle" }, text)
    ),
    svg("line", { class: "axis", x1: left, x2: width - right, y1: atY(0), y2: atY(0) }),
    svg("text", { class: "label", x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, x.label),
    svg(
      "text",
      { class: "label", x: 10, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 10 ${(top + height - bottom) / 2})` },
      y.label
    )
  );
  return { element, atX, atY };
}

const percents = [0, 25, 50, 75, 100].map((value) => [value / 100, `${value} %`]);
const figure = (element, title, caption) =>
  h("figure", null, h("figcaption", null, h("strong", null, title), caption ? [" ", caption] : null), element);

/** Product of (1 - availability x P(10/10)) over the ranked donors: that all fail, after each. */
function failures(report, patient) {
  let fails = 1;
  return report.firstRanks(patient).map((i) => {
    fails *= 1 - (report.value("availability", i) ?? 0) * (report.value("p10", i) ?? 0);
    return fails;
  });
}

function chancePlot(report, patient) {
  const rows = report.firstRanks(patient);
  if (!report.rows.p10 || rows.every((i) => report.value("p10", i) === null)) {
    const why = "P(10/10) is unknown for every donor, so no chance can be drawn.";
    return figure(h("p", { class: "empty" }, why), "Chance of a match");
  }
  const fails = failures(report, patient);
  const found = fails.map((value) => 1 - value);
  const last = found.at(-1);
  // Where later donors add less than a thousandth they are not drawn.
  const enough = found.findIndex((chance) => chance >= last - 0.001) + 1;
  const most = Math.min(found.length, Math.max(enough, 10));
  const { element, atX, atY } = axes(
    { most, label: "donors typed, in ranked order", ticks: ticks(most).map((k) => [k, `${k}`]) },
    { most: 1, label: "chance", ticks: percents },
    `Chance of an available 10/10 donor: ${[1, 2, 3, 5, 10, 20, 50]
      .filter((k) => k <= found.length)
      .map((k) => `${chanceText(fails[k - 1])} after ${k}`)
      .join(", ")}.`
  );
  const path = found.slice(0, most).map((chance, k) => `H${atX(k + 1)}V${atY(chance)}`);
  element.append(svg("path", { class: "line", d: `M${atX(0)} ${atY(0)}${path.join("")}` }));
  const asked = new Map(report.asked(patient).map((row) => [report.requests.donor.at(row), row]));
  rows.slice(0, most).forEach((i, k) => {
    if (!asked.has(report.value("donor", i))) return;
    const [x, y] = [atX(k + 1), atY(found[k])];
    const note = `${report.value("donor", i)}: request ${report.requests.order.at(asked.get(report.value("donor", i)))}`;
    element.append(svg("path", { class: "mark", d: `M${x} ${y - 5}l5 5l-5 5l-5 -5z` }, svg("title", null, note)));
  });
  const missing = rows.filter((i) => report.value("p10", i) === null).length;
  const caption = [
    `that one of the donors typed is available and 10/10; ${chanceText(fails.at(-1))} after all ${grouped(found.length)}.`,
    missing ? ` ${plural(missing, "donor")} of unknown P counted as none.` : "",
    asked.size ? " ◆ in the typing plan." : "",
  ];
  return figure(element, "Chance of a match", caption.join(""));
}

function riskPlot(report, patient, outcome) {
  const rows = report.rowsOf(patient);
  const known = rows.filter((i) => outcome && report.value(`risk_${outcome.name}`, i)?.[0] != null);
  if (!known.length) {
    return figure(h("p", { class: "empty" }, "No risk is predicted for these donors."), "Risk against match");
  }
  const risk = (i) => report.value(`risk_${outcome.name}`, i)[0];
  const highest = Math.max(...known.map(risk));
  const top = Math.min(1, Math.max(0.1, Math.ceil(highest * 11) / 10));
  // Donors without a P stand apart, left of 0.
  const apart = known.some((i) => report.value("p10", i) === null) ? 0.22 : 0;
  const { element, atX, atY } = axes(
    {
      most: 1 + apart,
      label: "P(10/10)",
      ticks: [...(apart ? [[0.05, "unknown"]] : []), ...percents.map(([p, text]) => [p + apart, text])],
    },
    { most: top, label: shortOutcome(outcome), ticks: ticks(100 * top).map((value) => [value / 100, `${value} %`]) },
    `Predicted ${outcome.text} against P(10/10) of ${plural(known.length, "donor")}; the table has the numbers.`
  );
  const places = new Map();
  for (const i of known) {
    const p = report.value("p10", i);
    const key = `${atX(p === null ? 0.05 : p + apart).toFixed(1)} ${atY(risk(i)).toFixed(1)}`;
    places.set(key, [...(places.get(key) ?? []), i]);
  }
  const own = report.patients.id[patient];
  for (const [key, at] of places) {
    const [x, y] = key.split(" ");
    const names = at.slice(0, 5).map((i) => `${report.value("rank", i)}. ${report.value("donor", i)}`);
    const note = names.join(", ") + (at.length > 5 ? ` and ${at.length - 5} more` : "");
    element.append(
      svg("circle", { class: "dot", cx: x, cy: y, r: Math.min(3 + Math.sqrt(at.length - 1), 9) }, svg("title", null, note))
    );
    if (at.some((i) => report.value("allocated_to", i) === own)) {
      element.append(svg("circle", { class: "ring", cx: x, cy: y, r: Math.min(6 + Math.sqrt(at.length - 1), 12) }));
    }
  }
  const caption = ["a dot is a donor, a larger one several alike."];
  if (known.some((i) => report.value("allocated_to", i) === own)) caption.push(" Ringed: allocated.");
  if (known.length < rows.length) caption.push(` ${rows.length - known.length} without a risk.`);
  return figure(element, "Risk against match", caption.join(""));
}

function planPlot(report) {
  const gains = report.requests.gain;
  let sum = 0;
  const found = gains.codes.map((_, i) => (sum += gains.at(i)));
  const top = Math.max(1, Math.ceil(sum * 1.05));
  const { element, atX, atY } = axes(
    { most: found.length, label: "requests, in order", ticks: ticks(found.length).map((k) => [k, grouped(k)]) },
    { most: top, label: "expected", ticks: ticks(top).map((value) => [value, grouped(value)]) },
    `Expected value of the plan: ${short(sum, 2)} after all ${found.length} requests.`
  );
  const path = found.map((value, k) => `L${atX(k + 1)} ${atY(value)}`);
  element.append(svg("path", { class: "line", d: `M${atX(0)} ${atY(0)}${path.join("")}` }));
  const caption = `(weighted by urgency where that was given): ${short(sum, 2)} after all ${grouped(found.length)} requests.`;
  return figure(element, "Patients expected to find an available donor", caption);
}
