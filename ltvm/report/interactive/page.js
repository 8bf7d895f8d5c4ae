const columnOf = Object.fromEntries(data.columns.map((c) => [c.id, c]));
const shownCells = new Set(data.cells.map((c) => c.id));

// Colours: dark ones are lightened on a dark ground, light ones darkened on a light one.
function isDark() { return document.documentElement.dataset.theme === "dark"; }
function colourOf(cell) {
  const parts = [1, 3, 5].map((i) => parseInt(cell.colour.slice(i, i + 2), 16));
  const light = (0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2]) / 255;
  const towards = isDark() ? 255 : 0;
  const share = isDark() ? Math.max(0, 0.62 - light) : Math.max(0, light - 0.6);
  return `rgb(${parts.map((p) => Math.round(p + (towards - p) * share)).join(" ")})`;
}
const SHAPES = {
  o: "M5 0A5 5 0 1 1-5 0A5 5 0 1 1 5 0Z", s: "M-4.5-4.5H4.5V4.5H-4.5Z", "^": "M0-6L5.5 4.5H-5.5Z",
  v: "M0 6L5.5-4.5H-5.5Z", D: "M0-6L6 0L0 6L-6 0Z", d: "M0-6L4 0L0 6L-4 0Z", "<": "M-6 0L4.5-5.5V5.5Z",
  ">": "M6 0L-4.5-5.5V5.5Z", P: "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z", h: "M-3-5.5H3L6 0L3 5.5H-3L-6 0Z",
  X: "M-6-3L-3-6L0-3L3-6L6-3L3 0L6 3L3 6L0 3L-3 6L-6 3L-3 0Z", p: "M0-6L6-1.5L3.5 5.5H-3.5L-6-1.5Z",
  "*": "M0-7L1.7-2.2L6.7-2.2L2.7 .9L4.1 5.7L0 2.8L-4.1 5.7L-2.7 .9L-6.7-2.2L-1.7-2.2Z",
};
const shapeOf = (cell) => SHAPES[cell.marker] || SHAPES.o;
// Where rows share a shape, and so differ in colour alone, each has a number: in the legend and beside its points
const numbered = new Set(data.cells.map(shapeOf)).size < data.cells.length;
const orderOf = new Map(data.cells.map((cell, i) => [cell.id, numbered ? i + 1 : ""]));
$("numbered").hidden = !numbered;

// The legend
function legend() {
  $("legend").replaceChildren(...data.cells.map((cell) => {
    const colour = colourOf(cell);
    const line = { x1: -14, x2: 14, stroke: colour, "stroke-width": 2, "stroke-dasharray": cell.dash };
    const icon = drawn("svg", { width: 32, height: 16, viewBox: "-16 -8 32 16", "aria-hidden": "true" },
      drawn("line", line), drawn("path", { d: shapeOf(cell), fill: colour }));
    const button = element("button", { type: "button", "aria-pressed": shownCells.has(cell.id) },
      icon, ...(numbered ? [element("span", { class: "order" }, orderOf.get(cell.id))] : []), element("span", {}, cell.short));
    button.addEventListener("click", () => {
      if (!shownCells.delete(cell.id)) shownCells.add(cell.id);
      button.setAttribute("aria-pressed", shownCells.has(cell.id));
      refresh();
    });
    return element("li", {}, button);
  }), element("li", { class: "every" }, every("All", true), every("None", false)));
}
function every(word, all) {
  const button = element("button", { type: "button", id: word.toLowerCase() }, word);
  button.addEventListener("click", () => {
    for (const cell of data.cells) shownCells[all ? "add" : "delete"](cell.id);
    legend();
    refresh();
    $(button.id).focus();
  });
  return button;
}

// The table: a row per cell; of its columns those that are on are there.
const heads = [...document.querySelectorAll("#table thead th[data-metric]")];
const groups = [...document.querySelectorAll("#table thead th[data-group]")];
const families = [...document.querySelectorAll("[data-family][type=checkbox]")];
const body = document.querySelector("#table tbody");
const rowOf = new Map(data.cells.map((cell) => {
  const runs = element("span", { class: "runs" }, `${cell.runs} ${cell.runs === "1" ? "run" : "runs"}`);
  return [cell, element("tr", { "data-cell": cell.id }, element("th", { scope: "row" }, element("span", {}, cell.short), " ", runs))];
}));
body.append(...rowOf.values());
function visible(cell) {
  const word = $("find").value.toLowerCase();
  const chosen = [...document.querySelectorAll("[data-filter]")];
  return shownCells.has(cell.id) && cell.name.toLowerCase().includes(word) &&
    chosen.every((select) => !select.value || String(cell[select.dataset.filter]) === select.value);
}
function asDifferences() { return $("differences")?.checked || false; }
function entry(metric, id) {
  return ((asDifferences() ? data.differences : data.values)[metric] || {})[id];
}
function numberIn(cell, metric) {
  const value = entry(metric, cell.id), best = value && (value.best || value.stands);
  const part = element("td", { "data-metric": metric, class: best ? "best" : "" });
  if (!value) { part.append(element("span", { class: "missing" }, "–")); return part; }
  const why = value.best ? ", significantly best" : value.stands ? ", stands after adjustment" : "";
  const label = `${cell.name}, ${columnOf[metric].title}: ${value.text}${why}`;
  const button = element("button", { type: "button", class: "number", "aria-label": label }, value.text + (best ? " ★" : ""));
  button.addEventListener("click", () => provenance(cell, metric));
  part.append(button);
  return part;
}
function refreshTable() {
  const wanted = new Set(families.filter((box) => box.checked).map((box) => box.dataset.family));
  const on = (column) => wanted.has(column.family) || (column.headline && wanted.has("headline"));
  for (const head of heads) head.hidden = !on(columnOf[head.dataset.metric]);
  const shown = heads.filter((head) => !head.hidden).map((head) => head.dataset.metric);
  for (const group of groups) {
    const own = shown.filter((metric) => columnOf[metric].family === group.dataset.group);
    group.hidden = !own.length;
    group.colSpan = Math.max(1, own.length);
  }
  let count = 0;
  for (const [cell, row] of rowOf) {
    row.hidden = !visible(cell);
    count += !row.hidden;
    row.replaceChildren(row.firstChild, ...(row.hidden ? [] : shown.map((metric) => numberIn(cell, metric))));
  }
  $("count").textContent = `${count} of ${data.cells.length} shown`;
}
let sorted = { metric: null, up: true };
function sortBy(metric) {
  const first = columnOf[metric]?.direction !== "higher"; // the best row first
  sorted = { metric, up: sorted.metric === metric ? !sorted.up : first };
  const place = new Map(data.cells.map((cell, i) => [cell, i]));
  const key = (cell) => metric ? entry(metric, cell.id)?.mean : place.get(cell);
  const ordered = [...data.cells].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return sorted.up ? x - y : y - x;
  });
  body.append(...ordered.map((cell) => rowOf.get(cell)));
  for (const head of document.querySelectorAll("#table thead th[aria-sort]")) {
    const own = head.querySelector("button").dataset.sort === metric;
    head.setAttribute("aria-sort", own ? (sorted.up ? "ascending" : "descending") : "none");
  }
}
function define(metric) {
  const column = columnOf[metric];
  if (!column) return;
  const unit = column.unit ? ` In ${column.unit}.` : "";
  $("definition").textContent = `${column.title}: ${column.definition} ${column.better}${unit}`;
}
for (const head of document.querySelectorAll("#table thead th[aria-sort]")) {
  const metric = head.querySelector("button").dataset.sort;
  head.querySelector("button").addEventListener("click", () => { sortBy(metric); define(metric); });
  for (const event of ["mouseenter", "focusin"]) head.addEventListener(event, () => define(metric));
}

// Where a number comes from
function copier(command) {
  const copy = element("button", { type: "button" }, "copy command");
  copy.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(command); copy.textContent = "copied"; }
    catch { copy.textContent = "select it and copy"; }
  });
  return copy;
}
function provenance(cell, metric) {
  const column = columnOf[metric], value = data.values[metric]?.[cell.id], difference = data.differences[metric]?.[cell.id];
  const stated = data.provenance.of[metric]?.[cell.id];
  $("provenance-title").textContent = `${cell.name}: ${column.title}`;
  const facts = { value: value?.text, definition: `${column.definition} ${column.better}`, unit: column.unit };
  if (difference) Object.assign(facts, { [`difference to “${data.reference}”`]: difference.text, "p alone (adjusted)": difference.p });
  const warnings = data.warnings.filter((w) => w.metric === metric && w.cells.includes(cell.id)).map((w) => w.text);
  if (warnings.length) facts.warning = warnings.join(" ");
  const body = [list(facts)];
  if (stated !== undefined) {
    body.push(element("h3", {}, "What the number says of itself (first seed)"), list(data.provenance.texts[stated]));
  }
  for (const run of data.runs[cell.id] || []) {
    const { seed, command, ...rest } = run;
    body.push(element("h3", {}, `Seed ${seed}`), list({ value: value?.seeds[seed], ...rest }),
      element("p", {}, element("code", {}, command || ""), " ", copier(command)));
  }
  $("provenance-body").replaceChildren(...body);
  $("provenance").showModal();
}
