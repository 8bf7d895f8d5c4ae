// Everything drawn anew, and how the page begins
const FIGURES = { against: drawAgainst, cost: drawCost, sweep: drawSweep, curves: drawCurves, effects: drawEffects, pictures: drawPictures };
function refresh() {
  refreshTable();
  for (const [id, draw] of Object.entries(FIGURES)) if (!$(id).hidden) draw();
}

const measured = data.columns.filter((c) => c.role !== "cost" && data.values[c.id]).sort((a, b) => b.headline - a.headline);
const titled = (columns) => columns.map((c) => [c.id, c.title]);
const compared = measured.filter((c) => data.differences[c.id]);
fill($("against-y"), titled(compared));
$("against").hidden = !compared.length;
fill($("cost-y"), titled(measured));
fill($("cost-x"), titled(data.currencies.map((id) => columnOf[id])));
const differ = data.currencies.find((id) => { // a cost in which rows differ is what quality is shown against
  const means = Object.values(data.values[id] || {}).map((value) => value.mean);
  return means.length && Math.max(...means) > 1.02 * Math.min(...means);
});
if (differ) $("cost-x").value = differ;
$("cost").hidden = !data.currencies.length || !measured.length;
const several = data.keys.filter((key) => new Set(data.cells.map((c) => c.keys[key]).filter((v) => v !== null)).size > 1);
fill($("sweep-y"), titled(measured));
fill($("sweep-x"), several.map((key) => [key, key]));
const valuesOf = (key) => new Set(data.cells.map((c) => c.keys[key])).size;
$("sweep-x").value = [...several].sort((a, b) => valuesOf(b) - valuesOf(a))[0];
$("sweep").hidden = !several.length || !measured.length;
const axes = data.curves.axes.map((axis) => [axis, AXES[axis]]), effects = data.curves.effects;
const paired = new Set(effects.flatMap((e) => [e.before, e.after]));
const curves = Object.entries(data.curves.of).filter(([id]) => !paired.has(id)).sort(([, a], [, b]) => a.rank - b.rank);
fill($("curves-y"), curves.map(([id, c]) => [id, c.title]));
fill($("curves-x"), axes);
$("curves").hidden = !curves.length;
fill($("effects-y"), effects.map((e) => [e.id, e.title]));
fill($("effects-x"), axes);
$("effects").hidden = !effects.length;
fill($("pictures-what"), data.pictures.kinds.map((kind) => [kind.id, kind.title]));
$("pictures").hidden = !data.pictures.kinds.length;
drawAbsent();

$("controls").addEventListener("submit", (event) => event.preventDefault());
$("controls").addEventListener("input", refresh);
for (const [id, draw] of Object.entries(FIGURES)) {
  for (const control of document.querySelectorAll(`#${id} select, #${id} input`)) {
    control.addEventListener("change", ["pictures-a", "pictures-b"].includes(control.id) ? drawPair : draw);
  }
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
const darkScreen = () => matchMedia("(prefers-color-scheme: dark)").matches;
let before = { dark: false, folded: [] }; // printed in light, with all that is folded
addEventListener("beforeprint", () => {
  before = { dark: isDark(), folded: [...document.querySelectorAll("details:not([open])")] };
  for (const part of before.folded) part.open = true;
  setTheme(false);
});
addEventListener("afterprint", () => {
  for (const part of before.folded) part.open = false;
  setTheme(before.dark);
});
if (innerWidth < 700) $("filters").open = false; // numbers first
setTheme(darkScreen());
