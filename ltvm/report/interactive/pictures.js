// Pictures: one kind at a time, two rows beside each other and all of them below
const kindOf = Object.fromEntries(data.pictures.kinds.map((kind) => [kind.id, kind]));
function picture(cell, kind) {
  const said = data.pictures.said[kind]?.[cell.id], title = kindOf[kind].title;
  const src = data.pictures.files[data.pictures.of[kind][cell.id]];
  const alt = `${title} of ${cell.name}. ${said || kindOf[kind].how}`;
  const caption = element("figcaption", {}, element("strong", {}, cell.name));
  if (said) caption.append(element("span", { class: "said" }, said));
  return element("figure", {}, element("img", { src, alt }), caption);
}
function drawPictures() {
  const kind = $("pictures-what").value, of = data.pictures.of[kind] || {};
  const cells = data.cells.filter((c) => of[c.id] !== undefined);
  const first = cells.find((c) => of[data.pairs[c.id]] !== undefined); // and what it is compared with
  for (const [id, cell] of [["pictures-a", first || cells[0]], ["pictures-b", first ? { id: data.pairs[first.id] } : cells[1] || cells[0]]]) {
    const before = $(id).value;
    fill($(id), cells.map((c) => [c.id, c.name]));
    $(id).value = of[before] !== undefined ? before : cell?.id;
  }
  for (const part of document.querySelectorAll(".of-pair")) part.hidden = !cells.length;
  $("pictures-how").textContent = `${kindOf[kind].title}. ${kindOf[kind].how}`;
  drawPair();
  drawAbsent(kind);
  $("gallery").replaceChildren(...cells.filter(visible).map((c) => picture(c, kind)));
}
function drawPair() {
  const kind = $("pictures-what").value, ids = [...new Set([$("pictures-a").value, $("pictures-b").value])];
  const pair = ids.map((id) => data.cells.find((c) => c.id === id));
  $("pair").replaceChildren(...pair.filter(Boolean).map((c) => picture(c, kind)));
}
function drawAbsent(kind) {
  const absent = data.pictures.absent[kind];
  if (!absent) return $("absent").replaceChildren();
  const made = Object.keys(data.pictures.of[kind]).length;
  const whose = made ? absent.rows.join("; ") : absent.rows.length === 1 ? "the one row" : `any of these ${absent.rows.length} rows`;
  const parts = [element("p", { class: "note" }, element("strong", {}, "Not made"), ` of ${whose}. Where the weights of these runs are kept, this makes them; else the command of a run, which each of its numbers opens, trains it again:`)];
  for (const command of absent.commands) parts.push(element("p", { class: "note" }, element("code", {}, command), " ", copier(command)));
  return $("absent").replaceChildren(...parts);
}
