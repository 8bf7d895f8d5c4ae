const DRAWN = 60; // rows of the figure
const rows = [...document.querySelectorAll("#table tbody tr")];
const rowOf = (tr) => data.rows[tr.dataset.row];
const columns = Object.fromEntries([...data.metrics, ...data.costs].map((c) => [c.id, c]));
let metric = data.metrics[0]?.id;
let sorted = { key: "rank", up: true };
const rankOf = (row) => data.rankings[metric]?.of[row.id];

// The table
function key(tr) {
  const row = rowOf(tr);
  if (sorted.key === "name") return row.name;
  return sorted.key === "rank" ? rankOf(row)?.place : row.values[sorted.key]?.mean;
}
function sort() {
  rows.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    const less = typeof x === "string" ? x.localeCompare(y) : x - y;
    return sorted.up ? less : -less;
  });
  document.querySelector("#table tbody").append(...rows);
  for (const head of document.querySelectorAll("#table th[aria-sort]")) {
    const own = head.querySelector("button").dataset.sort === sorted.key;
    head.setAttribute("aria-sort", own ? (sorted.up ? "ascending" : "descending") : "none");
  }
}
function show() {
  const wanted = $("find").value.toLowerCase();
  for (const tr of rows) {
    const rank = rankOf(rowOf(tr));
    tr.hidden = !rowOf(tr).name.toLowerCase().includes(wanted);
    tr.querySelector(".rank").textContent = rank?.text ?? "–";
    tr.querySelector(".at").textContent = rank?.at_one_seed ?? "–";
    tr.querySelector(".first").textContent = rank?.first ?? "–";
  }
  for (const part of document.querySelectorAll("[data-cost]")) part.hidden = !$("all-costs").checked;
  const ranking = data.rankings[metric];
  if (ranking) {
    $("answer").textContent = ranking.answer;
    const needed = ranking.needed ? `; the first must be ${ranking.needed} standard errors at ${ranking.seeds} seeds` : "";
    $("tests").textContent = `${ranking.tests} tests${needed}`;
  }
  sort();
  plot();
}
for (const head of document.querySelectorAll("#table thead th")) {
  const button = head.querySelector("button");
  button?.addEventListener("click", () => {
    sorted = { key: button.dataset.sort, up: sorted.key === button.dataset.sort ? !sorted.up : true };
    sort();
  });
  for (const event of ["mouseenter", "focusin"]) head.addEventListener(event, () => {
    if (head.dataset.definition) $("definition").textContent = `${head.textContent.trim()}: ${head.dataset.definition}`;
  });
}

// Where a number comes from
for (const tr of rows) for (const button of tr.querySelectorAll(".number")) {
  button.addEventListener("click", () => provenance(rowOf(tr), button.dataset.metric));
}
function provenance(row, id) {
  const column = columns[id], value = row.values[id], rank = data.rankings[id]?.of[row.id];
  $("provenance-title").textContent = `${row.name}: ${column.title}`;
  const facts = { value: value.text, definition: column.definition, unit: column.unit, marks: row.marks.join("; "),
    tuned: row.tuned, "not ranked": row.unranked };
  if (rank) Object.assign(facts, { rank: rank.text, "rank at one seed": rank.at_one_seed,
    "significantly better than": rank.better_than,
    "significantly worse than": rank.worse_than });
  const body = [list(facts)];
  if (Object.keys(row.settings).length) body.push(element("h3", {}, "Set otherwise than by default"), list(row.settings));
  if (row.stated[id]) body.push(element("h3", {}, "What the number says of itself (first seed)"), list(row.stated[id]));
  for (const { seed, command, ...rest } of row.records) {
    const copy = element("button", { type: "button" }, "copy command");
    copy.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(command); copy.textContent = "copied"; }
      catch { copy.textContent = "select it and copy"; }
    });
    body.push(element("h3", {}, `Seed ${seed}`), list({ value: value.seeds[seed], ...rest }),
      element("p", {}, element("code", {}, command || ""), " ", copy));
  }
  $("provenance-body").replaceChildren(...body);
  $("provenance").showModal();
}

// The figure: one line a row, in the order of the ranking
function plot() {
  const every = data.rows.filter((row) => rankOf(row)).sort((a, b) => rankOf(a).place - rankOf(b).place);
  $("plot-section").hidden = every.length < 2;
  if (every.length < 2) return;
  const ranked = every.slice(0, DRAWN);
  $("plot-some").textContent = ranked.length < every.length ? `The first ${ranked.length} of ${every.length} rows.` : "";
  const width = Math.max(300, Math.min(960, document.querySelector("main").clientWidth - 32));
  const narrow = width < 560, step = narrow ? 40 : 24, top = 26, left = narrow ? 8 : 300, right = 16;
  const height = top + step * ranked.length + 6, n = every.length;
  const x = (rank) => left + 8 + (rank - 1) / (n - 1) * (width - left - right - 16);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Rank intervals by ${columns[metric].title}; the numbers stand in the table.` });
  const apart = Math.ceil(n / (narrow ? 6 : 12));
  for (let rank = 1; rank <= n; rank += apart) {
    svg.append(drawn("line", { class: "grid", x1: x(rank), x2: x(rank), y1: top - 4, y2: height }),
      drawn("text", { x: x(rank), y: 14, "text-anchor": "middle" }, String(rank)));
  }
  const fits = narrow ? Math.floor(width / 7) : 42;
  ranked.forEach((row, i) => {
    const rank = rankOf(row), y = top + step * i + (narrow ? 28 : 14);
    svg.append(drawn("text", narrow ? { x: left, y: y - 11 } : { x: left - 8, y: y + 4, "text-anchor": "end" }, cut(row.name, fits)),
      drawn("line", { class: "interval", x1: x(rank.low), x2: x(rank.high), y1: y, y2: y }));
    if (rank.bounds) svg.append(drawn("line", { class: "seeds", x1: x(rank.bounds[0]), x2: x(rank.bounds[1]), y1: y, y2: y }));
    svg.append(drawn("circle", { cx: x(rank.expected), cy: y, r: 4 }, drawn("title", {}, `${row.name}: ${rank.text}, at one seed ${rank.at_one_seed}`)));
  });
  $("ranks-plot").replaceChildren(svg);
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").setAttribute("aria-pressed", dark);
}
$("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));
$("controls").addEventListener("submit", (event) => event.preventDefault());
$("controls").addEventListener("input", () => {
  if ($("by") && $("by").value !== metric) { metric = $("by").value; sorted = { key: "rank", up: true }; }
  show();
});
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; plot(); } });
setTheme(matchMedia("(prefers-color-scheme: dark)").matches);
show();
