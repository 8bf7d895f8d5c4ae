// Every row against its reference: a line each, named beside it, so that it needs no legend
function drawAgainst() {
  const metric = $("against-y").value, column = columnOf[metric], of = data.differences[metric] || {};
  const sign = column.direction === "higher" ? -1 : 1;
  const cells = data.cells.filter((c) => visible(c) && of[c.id]).sort((a, b) => sign * (of[a.id].mean - of[b.id].mean));
  if (!cells.length) return put("against");
  W = Math.max(300, Math.min(960, document.querySelector("main").clientWidth - 32));
  const narrow = W < 620, step = narrow ? 40 : 26, longest = Math.max(...cells.map((c) => c.short.length));
  const left = narrow ? 4 : Math.min(W / 2, 7.4 * longest + 24), right = narrow ? 4 : 130, top = 46;
  const height = top + step * cells.length + 8;
  const [low, high] = spread([0, ...cells.flatMap((c) => [of[c.id].low, of[c.id].high])], 0.04);
  const x = (v) => left + 8 + (v - low) / (high - low) * (W - left - right - 16);
  const svg = drawn("svg", { viewBox: `0 0 ${W} ${height}`, role: "group", "aria-label": `${column.title}: differences to ${data.reference}` });
  for (const t of ticks(low, high, false)) {
    svg.append(drawn("line", { class: t === 0 ? "axis" : "grid", x1: x(t), x2: x(t), y1: top - 8, y2: height }),
      drawn("text", { x: x(t), y: top - 14, "text-anchor": "middle" }, signed(t)));
  }
  if (column.direction) {
    const words = column.direction === "lower" ? ["← better", "worse →"] : ["← worse", "better →"];
    if (x(0) > left + 60) svg.append(drawn("text", { class: "side", x: x(0) - 8, y: 14, "text-anchor": "end" }, words[0]));
    if (x(0) < W - right - 60) svg.append(drawn("text", { class: "side", x: x(0) + 8, y: 14 }, words[1]));
  }
  cells.forEach((cell, i) => {
    const found = of[cell.id], y = top + step * i + (narrow ? 27 : 13), value = found.text + (found.stands ? " ★" : "");
    const name = cut(cell.short, Math.floor((narrow ? W - 8 * value.length - 20 : left - 16) / 7.4));
    svg.append(drawn("text", narrow ? { x: 4, y: y - 12 } : { x: left - 8, y: y + 4, "text-anchor": "end" }, name),
      drawn("text", { x: W - 4, y: narrow ? y - 12 : y + 4, "text-anchor": "end", class: found.stands ? "stands" : "" }, value),
      drawn("line", { x1: x(found.low), x2: x(found.high), y1: y, y2: y, stroke: colourOf(cell), "stroke-width": found.stands ? 3 : 1.6 }));
    const p = found.p ? `; p alone (adjusted): ${found.p}` : "";
    mark({ svg }, cell, x(found.mean), y, `${cell.name}: ${found.text}${p}`, !found.stands, () => provenance(cell, metric));
  });
  put("against", svg);
}
function signed(value) { return value > 0 ? `+${number(value)}` : number(value); }
