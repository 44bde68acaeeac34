// Tables that are sorted by their headings, opened row by row, and walked through by arrow keys.

const ROWS_AT_ONCE = 250;

const collator = new Intl.Collator("en", { numeric: true });

/** Unknown values come last in either direction; equal ones keep their order. */
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "string") return sign * collator.compare(a, b);
  return sign * (a - b);
}

let tables = 0;

/**
 * A table. `columns`: {key, head, note, cls, rowHead, falls, value(row), cell(row), beside(row)};
 * `falls`: the first sort is from the highest; `beside`: what stands below the head of a row. `details(row)`: what a row opens to. `rows` in their first order,
 * in which `group(row)`, {key, content}, has a heading wherever it changes; `tight`: with many columns.
 * Returns {element, show(rows), open(row)}.
 */
function sortedTable({ caption, columns, rows, details, empty, tight, group }) {
  const number = ++tables;
  let shown = rows;
  let sort = null;
  let limit = ROWS_AT_ONCE;
  const body = h("tbody", null);
  const more = h("p", { class: "more" });
  const heads = columns.map((column) =>
    h(
      "th",
      { scope: "col", class: column.cls, title: column.note },
      h("button", { type: "button", onclick: () => sortBy(column) }, column.head, h("span", { class: "arrow", "aria-hidden": "true" }))
    )
  );
  const table = h(
    "table",
    { class: tight ? "main tight" : "main" },
    h("caption", null, caption),
    h("thead", { onkeydown: fromHeads }, h("tr", null, heads)),
    body
  );
  body.addEventListener("keydown", walk);

  function sortBy(column) {
    const falls = sort?.column === column ? !sort.falls : Boolean(column.falls);
    sort = { column, falls };
    heads.forEach((head, i) => {
      if (columns[i] === column) head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    draw();
  }

  function ordered() {
    if (!sort) return shown;
    const values = new Map(shown.map((row) => [row, sort.column.value(row)]));
    return [...shown].sort((a, b) => compare(values.get(a), values.get(b), sort.falls ? -1 : 1));
  }

  function draw() {
    const all = ordered();
    const headed = sort ? (row) => [line(row)] : grouping(group, columns, line);
    body.replaceChildren(...all.slice(0, limit).flatMap(headed));
    if (!all.length) {
      body.append(h("tr", null, h("td", { colspan: columns.length, class: "empty" }, empty)));
    }
    const first = body.querySelector("[data-row]");
    if (first) first.tabIndex = 0;
    more.replaceChildren();
    if (all.length > limit) {
      const next = () => {
        limit += ROWS_AT_ONCE;
        draw();
      };
      more.append(
        `${grouped(limit)} of ${grouped(all.length)} rows are drawn. `,
        h("button", { type: "button", onclick: next }, `Draw ${ROWS_AT_ONCE} more`)
      );
    }
  }

  function line(row) {
    const cells = columns.map((column) => {
      const content = column.cell(row);
      if (!column.rowHead) return h("td", { class: column.cls }, content);
      if (!details) return h("th", { scope: "row", class: column.cls }, content);
      const button = h(
        "button",
        {
          type: "button",
          class: "opens",
          "data-row": row,
          "aria-expanded": "false",
          tabindex: "-1",
          onclick: () => toggle(row, button),
        },
        content
      );
      return h("th", { scope: "row", class: column.cls }, button, column.beside?.(row));
    });
    const found = h("tr", null, cells);
    const link = found.querySelector("a[data-row]");
    if (link) link.tabIndex = -1;
    return found;
  }

  function toggle(row, button) {
    const open = button.getAttribute("aria-expanded") === "true";
    const tr = button.closest("tr");
    button.setAttribute("aria-expanded", String(!open));
    if (open) {
      tr.nextElementSibling.remove();
      button.removeAttribute("aria-controls");
      return;
    }
    const id = `details-${number}-${row}`;
    button.setAttribute("aria-controls", id);
    tr.after(h("tr", { class: "details", id }, h("td", { colspan: columns.length }, details(row))));
  }

  // One row is in the tab order; arrows move to the others.
  function focusOn(control) {
    for (const other of body.querySelectorAll("[data-row][tabindex='0']")) other.tabIndex = -1;
    control.tabIndex = 0;
    control.focus();
  }

  function walk(event) {
    const here = event.target.closest("[data-row]");
    if (event.key === "Escape") {
      const tr = event.target.closest("tr.details");
      const button = here ?? tr?.previousElementSibling.querySelector("[data-row]");
      if (button?.getAttribute("aria-expanded") === "true") {
        button.click();
        focusOn(button);
      }
      return;
    }
    if (!here) return;
    const controls = [...body.querySelectorAll("[data-row]")];
    const at = controls.indexOf(here);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: controls.length - 1 }[event.key];
    if (to === undefined || !controls[to]) return;
    event.preventDefault();
    focusOn(controls[to]);
  }

  function fromHeads(event) {
    const buttons = heads.map((head) => head.querySelector("button"));
    const at = buttons.indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (event.key === "ArrowDown") {
      const first = body.querySelector("[data-row]");
      if (!first) return;
      event.preventDefault();
      focusOn(first);
    } else if (buttons[to]) {
      event.preventDefault();
      buttons[to].focus();
    }
  }

  draw();
  return {
    element: h("div", { class: "scrolled" }, table, more),
    show(filtered) {
      shown = filtered;
      limit = ROWS_AT_ONCE;
      draw();
    },
    open(row) {
      if (ordered().indexOf(row) >= limit) {
        limit = Infinity;
        draw();
      }
      const control = body.querySelector(`[data-row="${row}"]`);
      if (control.getAttribute("aria-expanded") === "false") control.click();
      focusOn(control);
      control.scrollIntoView({ block: "center" });
    },
  };
}

/** Lines of rows, each with the heading of its group where that begins. */
function grouping(group, columns, line) {
  let before = null;
  return (row) => {
    const found = group?.(row);
    if (!found || found.key === before) return [line(row)];
    before = found.key;
    return [h("tr", { class: "group" }, h("th", { colspan: columns.length, scope: "rowgroup" }, found.content)), line(row)];
  };
}

/** The same table for paper: every row, nothing to press. */
function printedTable({ caption, columns, rows, empty, group }) {
  const cell = (column, row) =>
    column.rowHead
      ? h("th", { scope: "row", class: column.cls }, column.cell(row), column.beside?.(row))
      : h("td", { class: column.cls }, column.cell(row));
  const line = (row) => h("tr", null, columns.map((column) => cell(column, row)));
  const body = rows.length
    ? rows.flatMap(grouping(group, columns, line))
    : h("tr", null, h("td", { colspan: columns.length, class: "empty" }, empty));
  return h(
    "table",
    { class: "main" },
    h("caption", null, caption),
    h("thead", null, h("tr", null, columns.map((c) => h("th", { scope: "col", class: c.cls }, c.head)))),
    h("tbody", null, body)
  );
}
