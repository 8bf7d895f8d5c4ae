// Everything drawn anew, and how the page begins
const FIGURES = { cost: drawCost, sweep: drawSweep, curves: drawCurves, effects: drawEffects, pictures: drawPictures };
function refresh() {
  refreshTable();
  for (const [id, draw] of Object.entries(FIGURES)) if (!$(id).hidden) draw();
}

const measured = data.columns.filter((c) => c.role !== "cost" && data.values[c.id]).sort((a, b) => b.headline - a.headline);
const titled = (columns) => columns.map((c) => [c.id, c.title]);
fill($("cost-y"), titled(measured));
fill($("cost-x"), titled(data.currencies.map((id) => columnOf[id])));
$("cost").hidden = !data.currencies.length || !measured.length;
const several = data.keys.filter((key) => new Set(data.cells.map((c) => c.keys[key]).filter((v) => v !== null)).size > 1);
fill($("sweep-y"), titled(measured));
fill($("sweep-x"), several.map((key) => [key, key]));
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
if (innerWidth < 1100) $("rows").open = false; // there it stays at the top of the screen, folded
setTheme(darkScreen());
