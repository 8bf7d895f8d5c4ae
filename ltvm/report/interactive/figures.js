// Figures
const H = 380, LEFT = 64, RIGHT = 14, TOP = 34, BOTTOM = 52;
let W = 720; // as wide as there is room for, so that text keeps its size
function ticks(low, high, log, most) {
  if (log) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high) + 1; power++) {
      for (const step of [1, 2, 5]) { const t = step * 10 ** power; if (t >= low * 0.999 && t <= high * 1.001) found.push(t); }
    }
    return found;
  }
  const rough = (high - low) / (most || 5), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) found.push(Math.abs(t) < step * 1e-9 ? 0 : t);
  return found;
}
function number(value) {
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e5 || size < 1e-3) ? value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e") : String(Number(value.toPrecision(4)));
}
function spread(values, pad) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) { const about = Math.abs(low) || 1; [low, high] = [low - about / 2, high + about / 2]; }
  return [low - pad * (high - low), high + pad * (high - low)];
}
// The axes of a figure; where the x are words, ``words`` has those of 0, 1, ...
function frame(xs, ys, xTitle, yTitle, log, label, words) {
  W = Math.max(300, Math.min(960, document.querySelector("main").clientWidth - 32));
  const [x0, x1] = spread(log ? xs.map(Math.log10) : xs, numbered ? 0.12 : 0.06); // numbers stand left of points
  const [y0, y1] = spread(ys, 0.06);
  const x = (v) => LEFT + ((log ? Math.log10(v) : v) - x0) / (x1 - x0) * (W - LEFT - RIGHT);
  const y = (v) => H - BOTTOM - (v - y0) / (y1 - y0) * (H - TOP - BOTTOM);
  const svg = drawn("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": label });
  const marks = words ? words.map((_, i) => i) : ticks(log ? 10 ** x0 : x0, log ? 10 ** x1 : x1, log, W < 500 ? 4 : 5);
  const power = words ? 0 : thousands(Math.max(...xs.map(Math.abs)));
  for (const t of marks) {
    svg.append(drawn("line", { class: "grid", x1: x(t), x2: x(t), y1: TOP, y2: H - BOTTOM }),
      drawn("text", { x: x(t), y: H - BOTTOM + 18, "text-anchor": "middle" }, words ? words[t] : number(t / 10 ** power)));
  }
  for (const t of ticks(y0, y1, false)) {
    svg.append(drawn("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(t), y2: y(t) }),
      drawn("text", { x: LEFT - 6, y: y(t) + 4, "text-anchor": "end" }, number(t)));
  }
  svg.append(drawn("text", { x: (LEFT + W - RIGHT) / 2, y: H - 8, "text-anchor": "middle" }, power ? `${xTitle}, in ${MANY[power] || `1e${power}`}` : xTitle),
    drawn("text", { x: 4, y: 18 }, yTitle));
  return { svg, x, y };
}
const MANY = { 6: "millions", 9: "billions", 12: "trillions" };
// Of what reaches a million: the power of ten that its axis counts in
function thousands(most) { return most < 1e6 ? 0 : 3 * Math.floor(Math.log10(most) / 3); }
function bar(plot, x, low, high, colour, dash) {
  plot.svg.append(drawn("line", { x1: x, x2: x, y1: plot.y(low), y2: plot.y(high), stroke: colour, "stroke-width": 1.6, "stroke-dasharray": dash || "" }));
}
// A point of a row; its text is said below the figure when it is pointed at, or in focus.
function mark(plot, cell, x, y, text, open, action) {
  const about = { d: shapeOf(cell), transform: `translate(${x} ${y})`, fill: open ? "var(--ground)" : colourOf(cell), stroke: colourOf(cell), "stroke-width": 1.6 };
  const group = drawn("g", { class: "point", role: action ? "button" : "img", "aria-label": text }, drawn("title", {}, text), drawn("path", about));
  const say = () => { group.closest("section").querySelector(".readout").textContent = text; };
  group.addEventListener("pointerenter", say);
  group.addEventListener("focus", say);
  group.addEventListener("click", action || say);
  if (action) {
    group.setAttribute("tabindex", 0);
    group.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); action(); } });
  }
  plot.svg.append(group);
}
// The number of a row left of its point, where the legend has numbers; further left where another one is
function order(plot, cell, x, y) {
  if (!numbered) return;
  const near = (plot.orders ||= []).filter((o) => Math.abs(o.y - y) <= 10 && Math.abs(o.x - x) <= 56);
  if (near.some((o) => o.cell === cell)) return;
  const at = [8, 24, 40].map((step) => x - step).find((u) => near.every((o) => Math.abs(o.x - u) > 15)) ?? x - 8;
  plot.orders.push({ cell, x: at, y });
  plot.numbers ||= drawn("g", { "aria-hidden": "true" });
  plot.numbers.append(drawn("text", { class: "order", x: at, y: y + 4, "text-anchor": "end" }, orderOf.get(cell.id)));
  plot.svg.append(plot.numbers); // above all points
}
function seedMark(plot, cell, x, y) {
  const transform = `translate(${x + 7} ${y}) scale(.45)`;
  plot.svg.append(drawn("path", { class: "seed", d: shapeOf(cell), transform, fill: "none", stroke: colourOf(cell), "stroke-width": 1.6 }));
}
function line(plot, cell, points, dash) {
  const d = "M" + points.map((point) => point.join(" ")).join("L");
  plot.svg.append(drawn("path", { class: "line", d, fill: "none", stroke: colourOf(cell), "stroke-width": 2, "stroke-dasharray": dash }));
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
    for (const s of seeds(c)) seedMark(plot, c, plot.x(k(c).seeds[s]), plot.y(q(c).seeds[s]));
    bar(plot, plot.x(k(c).mean), q(c).low, q(c).high, colourOf(c));
    mark(plot, c, plot.x(k(c).mean), plot.y(q(c).mean), `${c.name}: ${q(c).text} at ${k(c).text}${front.includes(c) ? ", on the frontier" : ""}`, false, () => provenance(c, metric));
    order(plot, c, plot.x(k(c).mean), plot.y(q(c).mean));
  }
  put("cost", plot.svg);
}
function drawSweep() {
  const metric = $("sweep-y").value, key = $("sweep-x").value, column = columnOf[metric];
  const cells = data.cells.filter((c) => visible(c) && c.keys[key] !== null && data.values[metric]?.[c.id]);
  if (!cells.length) return put("sweep");
  const words = isNumeric(key) ? null : [...new Set(cells.map((c) => String(c.keys[key])))];
  const log = $("sweep-log").checked && !words && cells.every((c) => c.keys[key] > 0);
  const at = (c) => words ? words.indexOf(String(c.keys[key])) : c.keys[key];
  const others = (c) => JSON.stringify([c.method, c.data, Object.entries(c.keys).filter(([name]) => name !== key)]);
  const of = (c) => data.values[metric][c.id];
  const ys = cells.flatMap((c) => [of(c).low, of(c).high, ...Object.values(of(c).seeds)]);
  const ends = words ? [-0.5, words.length - 0.5] : []; // words have room on both sides
  const plot = frame([...ends, ...cells.map(at)], ys, key, column.title, log, `${column.title} against ${key}`, words);
  const beside = words ? placesBeside(cells, at) : () => 0, place = (c) => plot.x(at(c)) + beside(c);
  const lines = new Map();
  for (const c of cells) lines.set(others(c), [...(lines.get(others(c)) || []), c]);
  for (const own of lines.values()) {
    own.sort((a, b) => at(a) - at(b));
    if (!words) line(plot, own[0], own.map((c) => [plot.x(at(c)), plot.y(of(c).mean)]), own[0].dash);
    for (const c of own) {
      for (const value of Object.values(of(c).seeds)) seedMark(plot, c, place(c), plot.y(value));
      bar(plot, place(c), of(c).low, of(c).high, colourOf(c));
      mark(plot, c, place(c), plot.y(of(c).mean), `${c.name}: ${of(c).text}`, false, () => provenance(c, metric));
      order(plot, c, place(c), plot.y(of(c).mean));
    }
  }
  put("sweep", plot.svg);
}
// How far right of its word each row stands, so that those of one word do not hide each other
function placesBeside(cells, at) {
  const groups = new Map();
  for (const c of cells) groups.set(at(c), [...(groups.get(at(c)) || []), c]);
  const room = (W - LEFT - RIGHT) / (groups.size + 1);
  const places = new Map();
  for (const own of groups.values()) {
    own.forEach((c, i) => places.set(c, (i - (own.length - 1) / 2) * Math.min(22, 0.75 * room / own.length)));
  }
  return (c) => places.get(c);
}
function isNumeric(key) { return data.cells.every((c) => c.keys[key] === null || typeof c.keys[key] === "number"); }
const AXES = { flops: "training, FLOP", passes: "passes per image", iteration: "iteration" };
function drawCurve(plot, cell, points, axis, when, open, dash) {
  line(plot, cell, points.map((p) => [plot.x(p[axis]), plot.y(p.mean)]), dash);
  for (const p of points) {
    for (const value of p.seeds) seedMark(plot, cell, plot.x(p[axis]), plot.y(value));
    bar(plot, plot.x(p[axis]), p.low, p.high, colourOf(cell));
    const text = `${cell.name}${when}, ${AXES[axis]} ${number(p[axis])}: ${number(p.mean)}`;
    mark(plot, cell, plot.x(p[axis]), plot.y(p.mean), text, open);
  }
  order(plot, cell, plot.x(points.at(-1)[axis]), plot.y(points.at(-1).mean));
}
function drawHistories(id, axis, curves, title) { // curves: [facts, words, open]
  const cells = data.cells.filter((c) => visible(c) && curves.some(([curve]) => curve?.cells[c.id]));
  if (!cells.length) return put(id);
  const points = cells.flatMap((c) => curves.flatMap(([curve]) => curve.cells[c.id] || []));
  const ys = points.flatMap((p) => [p.low, p.high, ...p.seeds]);
  const plot = frame(points.map((p) => p[axis]), ys, AXES[axis], title, false, `${title} during training`);
  for (const c of cells) {
    for (const [curve, words, open] of curves) {
      if (curve.cells[c.id]) drawCurve(plot, c, curve.cells[c.id], axis, words, open, curves.length === 1 ? c.dash : open ? "5 4" : "");
    }
  }
  put(id, plot.svg);
}
function drawCurves() {
  const curve = data.curves.of[$("curves-y").value];
  drawHistories("curves", $("curves-x").value, [[curve, "", false]], curve?.title);
}
function drawEffects() {
  const effect = data.curves.effects.find((e) => e.id === $("effects-y").value), of = data.curves.of;
  drawHistories("effects", $("effects-x").value, [[of[effect.before], ", before", false], [of[effect.after], ", after", true]], effect.title);
}
