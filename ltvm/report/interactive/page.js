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

// The legend
function legend() {
  $("legend").replaceChildren(...data.cells.map((cell) => {
    const colour = colourOf(cell);
    const line = { x1: -14, x2: 14, stroke: colour, "stroke-width": 2, "stroke-dasharray": cell.dash };
    const icon = drawn("svg", { width: 32, height: 16, viewBox: "-16 -8 32 16", "aria-hidden": "true" },
      drawn("line", line), drawn("path", { d: shapeOf(cell), fill: colour }));
    const button = element("button", { type: "button", "aria-pressed": shownCells.has(cell.id) }, icon, cell.name);
    button.addEventListener("click", () => {
      if (!shownCells.delete(cell.id)) shownCells.add(cell.id);
      button.setAttribute("aria-pressed", shownCells.has(cell.id));
      refresh();
    });
    return element("li", {}, button);
  }));
}
for (const [id, all] of [["all", true], ["none", false]]) {
  $(id).addEventListener("click", () => {
    for (const cell of data.cells) shownCells[all ? "add" : "delete"](cell.id);
    legend();
    refresh();
  });
}

// The table
const rows = [...document.querySelectorAll("#table tbody tr")];
const original = [...rows];
const families = [...document.querySelectorAll("[data-family][type=checkbox]")];
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
function refreshTable() {
  const wanted = new Set(families.filter((box) => box.checked).map((box) => box.dataset.family));
  const on = (column) => wanted.has(column.family) || (column.headline && wanted.has("headline"));
  for (const part of document.querySelectorAll("#table [data-metric]")) part.hidden = !on(columnOf[part.dataset.metric]);
  for (const row of rows) {
    const cell = data.cells.find((c) => c.id === row.dataset.cell);
    row.hidden = !visible(cell);
    for (const part of row.querySelectorAll("td[data-metric]")) {
      const metric = part.dataset.metric, value = entry(metric, cell.id), best = value && (value.best || value.stands);
      part.classList.toggle("best", Boolean(best));
      if (!value) { part.replaceChildren(element("span", { class: "missing" }, "–")); continue; }
      const why = value.best ? ", best beyond doubt" : value.stands ? ", stands after correction" : "";
      const label = `${cell.name}, ${columnOf[metric].title}: ${value.text}${why}`;
      const button = element("button", { type: "button", class: "number", "aria-label": label }, value.text + (best ? " ★" : ""));
      button.addEventListener("click", () => provenance(cell, metric));
      part.replaceChildren(button);
    }
  }
}
let sorted = { metric: null, up: true };
function sortBy(metric) {
  sorted = { metric, up: sorted.metric === metric ? !sorted.up : true };
  const key = (row) => metric ? entry(metric, row.dataset.cell)?.mean : original.indexOf(row);
  rows.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return sorted.up ? x - y : y - x;
  });
  document.querySelector("#table tbody").append(...rows);
  for (const head of document.querySelectorAll("#table thead th[aria-sort]")) {
    const own = head.querySelector("button").dataset.sort === metric;
    head.setAttribute("aria-sort", own ? (sorted.up ? "ascending" : "descending") : "none");
  }
}
for (const head of document.querySelectorAll("#table thead th[aria-sort]")) {
  const button = head.querySelector("button");
  button.addEventListener("click", () => sortBy(button.dataset.sort));
  for (const event of ["mouseenter", "focusin"]) head.addEventListener(event, () => {
    if (head.dataset.definition) $("definition").textContent = `${button.textContent}: ${head.dataset.definition}`;
  });
}

// Where a number comes from
function provenance(cell, metric) {
  const column = columnOf[metric], value = data.values[metric]?.[cell.id], difference = data.differences[metric]?.[cell.id];
  const stated = data.provenance.of[metric]?.[cell.id];
  $("provenance-title").textContent = `${cell.name}: ${column.title}`;
  const facts = { value: value?.text, definition: column.definition, unit: column.unit };
  if (difference) Object.assign(facts, { [`difference to ${data.reference}`]: difference.text, "p (corrected)": difference.p });
  const warnings = data.warnings.filter((w) => w.metric === metric && w.cells.includes(cell.id)).map((w) => w.text);
  if (warnings.length) facts.warning = warnings.join(" ");
  const body = [list(facts)];
  if (stated !== undefined) {
    body.push(element("h3", {}, "What the number says of itself (first seed)"), list(data.provenance.texts[stated]));
  }
  for (const run of data.runs[cell.id] || []) {
    const { seed, command, ...rest } = run;
    const copy = element("button", { type: "button" }, "copy command");
    copy.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(command); copy.textContent = "copied"; }
      catch { copy.textContent = "select it and copy"; }
    });
    body.push(element("h3", {}, `Seed ${seed}`), list({ value: value?.seeds[seed], ...rest }),
      element("p", {}, element("code", {}, command || ""), " ", copy));
  }
  $("provenance-body").replaceChildren(...body);
  $("provenance").showModal();
}

// Figures
const H = 380, LEFT = 64, RIGHT = 14, TOP = 34, BOTTOM = 52;
let W = 720; // as wide as there is room for, so that text keeps its size
function ticks(low, high, log) {
  if (log) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high) + 1; power++) {
      for (const step of [1, 2, 5]) { const t = step * 10 ** power; if (t >= low * 0.999 && t <= high * 1.001) found.push(t); }
    }
    return found;
  }
  const rough = (high - low) / (W < 500 ? 4 : 5), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) found.push(Math.abs(t) < step * 1e-9 ? 0 : t);
  return found;
}
function number(value) {
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e5 || size < 1e-3) ? value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e") : String(Number(value.toPrecision(4)));
}
function frame(xs, ys, xTitle, yTitle, log, label) {
  const span = (values, pad) => {
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (low === high) { const about = Math.abs(low) || 1; [low, high] = [low - about / 2, high + about / 2]; }
    return [low - pad * (high - low), high + pad * (high - low)];
  };
  W = Math.max(300, Math.min(960, document.querySelector("main").clientWidth - 32));
  let [x0, x1] = log ? span(xs.map(Math.log10), 0.06) : span(xs, 0.06);
  const [y0, y1] = span(ys, 0.06);
  const x = (v) => LEFT + ((log ? Math.log10(v) : v) - x0) / (x1 - x0) * (W - LEFT - RIGHT);
  const y = (v) => H - BOTTOM - (v - y0) / (y1 - y0) * (H - TOP - BOTTOM);
  const svg = drawn("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": label });
  for (const t of ticks(log ? 10 ** x0 : x0, log ? 10 ** x1 : x1, log)) {
    svg.append(drawn("line", { class: "grid", x1: x(t), x2: x(t), y1: TOP, y2: H - BOTTOM }),
      drawn("text", { x: x(t), y: H - BOTTOM + 18, "text-anchor": "middle" }, number(t)));
  }
  for (const t of ticks(y0, y1, false)) {
    svg.append(drawn("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(t), y2: y(t) }),
      drawn("text", { x: LEFT - 6, y: y(t) + 4, "text-anchor": "end" }, number(t)));
  }
  svg.append(drawn("text", { x: (LEFT + W - RIGHT) / 2, y: H - 8, "text-anchor": "middle" }, xTitle),
    drawn("text", { x: 4, y: 18 }, yTitle));
  return { svg, x, y };
}
function bar(plot, x, low, high, colour, dash) {
  plot.svg.append(drawn("line", { x1: x, x2: x, y1: plot.y(low), y2: plot.y(high), stroke: colour, "stroke-width": 1.6, "stroke-dasharray": dash || "" }));
}
function mark(plot, cell, x, y, text, open, action) {
  const point = drawn("path", { d: shapeOf(cell), transform: `translate(${x} ${y})`, fill: open ? "none" : colourOf(cell), stroke: colourOf(cell), "stroke-width": 1.4 });
  if (!text) { point.setAttribute("transform", `translate(${x} ${y}) scale(.45)`); plot.svg.append(point); return; }
  const group = drawn("g", { class: "point", role: action ? "button" : "img", "aria-label": text }, drawn("title", {}, text), point);
  if (action) {
    group.setAttribute("tabindex", 0);
    group.addEventListener("click", action);
    group.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); action(); } });
  }
  plot.svg.append(group);
}
function put(id, plot) {
  $(id).querySelector(".plot").replaceChildren(plot || element("p", { class: "note" }, "Nothing to show: no row is chosen that has both."));
}
function drawCost() {
  const metric = $("cost-y").value, cost = $("cost-x").value, log = $("cost-log").checked;
  const cells = data.cells.filter((c) => visible(c) && data.values[metric]?.[c.id] && data.values[cost]?.[c.id]);
  if (!cells.length) return put("cost");
  const q = (c) => data.values[metric][c.id], k = (c) => data.values[cost][c.id];
  const seeds = (c) => Object.keys(q(c).seeds).filter((s) => s in k(c).seeds);
  const xs = cells.flatMap((c) => [k(c).mean, ...seeds(c).map((s) => k(c).seeds[s])]);
  const ys = cells.flatMap((c) => [q(c).low, q(c).high, ...Object.values(q(c).seeds)]);
  const plot = frame(xs, ys, columnOf[cost].title, columnOf[metric].title, log, `${columnOf[metric].title} against ${columnOf[cost].title}`);
  const sign = columnOf[metric].direction === "higher" ? -1 : 1;
  const ordered = [...cells].sort((a, b) => k(a).mean - k(b).mean || sign * (q(a).mean - q(b).mean));
  const front = [];
  for (const c of ordered) if (!front.length || sign * q(c).mean < sign * q(front.at(-1)).mean) front.push(c);
  if (columnOf[metric].direction && new Set(cells.map((c) => c.data)).size === 1) {
    const path = front.map((c, i) => i ? `H${plot.x(k(c).mean)}V${plot.y(q(c).mean)}` : `M${plot.x(k(c).mean)} ${plot.y(q(c).mean)}`).join("");
    plot.svg.append(drawn("path", { class: "frontier", d: path }));
  }
  for (const c of cells) {
    for (const s of seeds(c)) mark(plot, c, plot.x(k(c).seeds[s]) + 7, plot.y(q(c).seeds[s]), null, true);
    bar(plot, plot.x(k(c).mean), q(c).low, q(c).high, colourOf(c));
    mark(plot, c, plot.x(k(c).mean), plot.y(q(c).mean), `${c.name}: ${q(c).text} at ${k(c).text}${front.includes(c) ? ", on the frontier" : ""}`, false, () => provenance(c, metric));
  }
  put("cost", plot.svg);
}
function drawSweep() {
  const metric = $("sweep-y").value, key = $("sweep-x").value;
  const cells = data.cells.filter((c) => visible(c) && typeof c.keys[key] === "number" && data.values[metric]?.[c.id]);
  if (!cells.length) return put("sweep");
  const others = (c) => JSON.stringify([c.method, c.data, Object.entries(c.keys).filter(([name]) => name !== key)]);
  const ys = cells.flatMap((c) => [data.values[metric][c.id].low, data.values[metric][c.id].high]);
  const plot = frame(cells.map((c) => c.keys[key]), ys, key, columnOf[metric].title, false, `${columnOf[metric].title} against ${key}`);
  const lines = Map.groupBy ? Map.groupBy(cells, others) : cells.reduce((m, c) => m.set(others(c), [...(m.get(others(c)) || []), c]), new Map());
  for (const line of lines.values()) {
    line.sort((a, b) => a.keys[key] - b.keys[key]);
    const at = (c) => [plot.x(c.keys[key]), plot.y(data.values[metric][c.id].mean)];
    plot.svg.append(drawn("path", { d: "M" + line.map((c) => at(c).join(" ")).join("L"), fill: "none", stroke: colourOf(line[0]), "stroke-width": 2, "stroke-dasharray": line[0].dash }));
    for (const c of line) {
      const v = data.values[metric][c.id];
      bar(plot, at(c)[0], v.low, v.high, colourOf(c));
      mark(plot, c, ...at(c), `${c.name}: ${v.text}`, false, () => provenance(c, metric));
    }
  }
  put("sweep", plot.svg);
}
function drawCurves() {
  const curve = data.curves.of[$("curves-y").value], axis = $("curves-x").value;
  const cells = data.cells.filter((c) => visible(c) && curve?.cells[c.id]);
  if (!cells.length) return put("curves");
  const points = cells.flatMap((c) => curve.cells[c.id]);
  const plot = frame(points.map((p) => p[axis]), points.flatMap((p) => [p.low, p.high]), axis === "flops" ? "training, FLOP" : axis === "passes" ? "passes per image" : "iteration", curve.title, false, `${curve.title} during training`);
  for (const c of cells) {
    const line = curve.cells[c.id];
    plot.svg.append(drawn("path", { d: "M" + line.map((p) => `${plot.x(p[axis])} ${plot.y(p.mean)}`).join("L"), fill: "none", stroke: colourOf(c), "stroke-width": 2, "stroke-dasharray": c.dash }));
    for (const p of line) {
      bar(plot, plot.x(p[axis]), p.low, p.high, colourOf(c));
      mark(plot, c, plot.x(p[axis]), plot.y(p.mean), `${c.name}, iteration ${p.iteration}: ${number(p.mean)}`, false);
    }
  }
  put("curves", plot.svg);
}

// Pictures
function picture(cell, kind) {
  return element("figure", {}, element("img", { src: data.pictures.of[kind][cell.id], alt: `${kind} of ${cell.name}` }), element("figcaption", {}, cell.name));
}
function drawPictures() {
  const kind = $("pictures-what").value, of = data.pictures.of[kind] || {};
  const cells = data.cells.filter((c) => of[c.id]);
  for (const [id, place] of [["pictures-a", 0], ["pictures-b", 1]]) {
    const before = $(id).value;
    fill($(id), cells.map((c) => [c.id, c.name]));
    $(id).value = of[before] ? before : cells[Math.min(place, cells.length - 1)]?.id;
  }
  drawPair();
  $("gallery").replaceChildren(...cells.filter(visible).map((c) => picture(c, kind)));
}
function drawPair() {
  const kind = $("pictures-what").value;
  const pair = ["pictures-a", "pictures-b"].map((id) => data.cells.find((c) => c.id === $(id).value));
  $("pair").replaceChildren(...pair.filter(Boolean).map((c) => picture(c, kind)));
}

function refresh() { refreshTable(); drawCost(); if (!$("sweep").hidden) drawSweep(); if (!$("curves").hidden) drawCurves(); if (!$("pictures").hidden) drawPictures(); }

// Beginnings
const measured = data.columns.filter((c) => c.role !== "cost" && data.values[c.id]).sort((a, b) => b.headline - a.headline);
fill($("cost-y"), measured.map((c) => [c.id, c.title]));
fill($("cost-x"), data.currencies.map((id) => [id, columnOf[id].title]));
$("cost").hidden = !data.currencies.length || !measured.length;
const numeric = data.keys.filter((key) => new Set(data.cells.map((c) => c.keys[key]).filter((v) => typeof v === "number")).size > 1);
fill($("sweep-y"), measured.map((c) => [c.id, c.title]));
fill($("sweep-x"), numeric.map((key) => [key, key]));
$("sweep").hidden = !numeric.length || !measured.length;
fill($("curves-y"), Object.entries(data.curves.of).sort(([, a], [, b]) => a.rank - b.rank).map(([id, c]) => [id, c.title]));
fill($("curves-x"), data.curves.axes.map((a) => [a, a === "flops" ? "FLOP" : a]));
$("curves").hidden = !Object.keys(data.curves.of).length;
const kinds = Object.keys(data.pictures.of).filter((kind) => Object.keys(data.pictures.of[kind]).length);
fill($("pictures-what"), kinds.map((kind) => [kind, kind]));
$("pictures").hidden = !kinds.length;

$("controls").addEventListener("submit", (event) => event.preventDefault());
$("controls").addEventListener("input", refresh);
for (const [ids, draw] of [[["cost-y", "cost-x", "cost-log"], drawCost], [["sweep-y", "sweep-x"], drawSweep], [["curves-y", "curves-x"], drawCurves], [["pictures-what"], drawPictures], [["pictures-a", "pictures-b"], drawPair]]) {
  for (const id of ids) $(id).addEventListener("change", draw);
}
function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").setAttribute("aria-pressed", dark);
  legend();
  refresh();
}
$("theme").addEventListener("click", () => setTheme(!isDark()));
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; refresh(); } });
setTheme(matchMedia("(prefers-color-scheme: dark)").matches);
