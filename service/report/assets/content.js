// What is embedded, as columns with one value a row, and the look-ups that the views need.

class Column {
  constructor({ levels, codes }) {
    this.levels = levels;
    this.codes = codes;
  }
  at(i) {
    const code = this.codes[i];
    return code < 0 ? null : this.levels[code];
  }
}

const indices = (columns) => Array.from(Object.values(columns)[0].codes, (_, i) => i);

const columnsOf = (given) =>
  Object.fromEntries(Object.entries(given).map(([name, column]) => [name, new Column(column)]));

async function embedded() {
  const element = document.getElementById("content");
  if (element.type === "application/json") return JSON.parse(element.textContent);
  if (typeof DecompressionStream === "undefined") {
    throw new Error(
      "This browser is from before 2023 and cannot decompress the report. Open it in a newer one, " +
        "or have it written with --plain."
    );
  }
  const text = atob(element.textContent);
  const packed = new Uint8Array(text.length);
  // A loop: Uint8Array.from with a function takes ten times as long.
  for (let i = 0; i < text.length; i += 1) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

class Report {
  constructor(content) {
    Object.assign(this, content);
    this.rows = columnsOf(content.rows);
    this.n = content.patients.id.length;
    this.position = new Map(content.patients.id.map((id, i) => [id, i]));
    this.allocated = content.allocation && columnsOf(content.allocation.columns);
    this.allocationRow = new Map();
    this.allocated?.patient.codes.forEach((_, i) =>
      this.allocationRow.set(this.allocated.patient.at(i), i)
    );
    this.requests = content.plan && columnsOf(content.plan);
    this.requestsOf = new Map();
    this.requests?.patient.codes.forEach((_, i) => {
      const patient = this.requests.patient.at(i);
      this.requestsOf.set(patient, [...(this.requestsOf.get(patient) ?? []), i]);
    });
    this.rejected = content.rejects && columnsOf(content.rejects);
    this.told = content.notes && columnsOf(content.notes);
    this.outcome = this.outcomes.find(({ name }) => name === content.outcome) ?? null;
  }

  value(name, i) {
    return this.rows[name]?.at(i) ?? null;
  }

  /** The rows of a patient, by stratum and rank. */
  rowsOf(patient) {
    const { starts } = this.patients;
    return Array.from({ length: starts[patient + 1] - starts[patient] }, (_, k) => starts[patient] + k);
  }

  /** Those of them from the first rank on that leave none out. */
  firstRanks(patient) {
    return this.rowsOf(patient).slice(0, this.patients.first_ranks[patient]);
  }

  /** The row of a donor of a patient, or null where it is none of its candidates. */
  rowOf(patient, donor) {
    if (patient === undefined) return null;
    return this.rowsOf(patient).find((i) => this.value("donor", i) === donor) ?? null;
  }

  /** The stratum of a row as it is listed, or null where there are none. */
  stratumOf(i) {
    const name = this.value("stratum", i);
    return this.strata.find((stratum) => stratum.name === name) ?? null;
  }

  /** What the allocation says of a patient, or null where there is none. */
  given(patient) {
    const i = this.allocationRow.get(this.patients.id[patient]);
    if (i === undefined) return null;
    const values = Object.entries(this.allocated).map(([name, column]) => [name, column.at(i)]);
    return Object.fromEntries(values);
  }

  /** How names of a patient's typing were followed. */
  notesOf(patient) {
    if (!this.told) return [];
    const id = this.patients.id[patient];
    return indices(this.told).filter((i) => this.told.patient.at(i) === id).map((i) => this.told.note.at(i));
  }

  /** The typing requests of a patient, as rows of the plan. */
  asked(patient) {
    return this.requestsOf.get(this.patients.id[patient]) ?? [];
  }

  /** The loci worth a column: those that were searched, and others that any of the rows has typed. */
  lociOf(rows) {
    return this.loci.filter(
      ({ name, searched }) =>
        searched || rows.some((i) => this.value(`locus_${name}`, i).slice(0, 2).some((l) => l !== "-"))
    );
  }

  /** Why the donor of rank 1 is not allocated, in words. */
  whyNotFirst(given) {
    if (!given?.not_first_for) return "";
    return given.best === given.first && given.reason ? this.whyNotBest(given) : given.not_first_for;
  }

  /** What stands between a patient and its best candidate for the plan, in words. */
  whyNotBest(given) {
    if (!given || !given.reason) return "";
    if (given.best_given_to) return `given to ${given.best_given_to}`;
    return given.limit ? `${given.reason}: ${given.limit}` : given.reason;
  }
}
