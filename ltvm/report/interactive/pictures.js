// Pictures: one kind at a time, two rows beside each other and all of them below
const kindOf = Object.fromEntries(data.pictures.kinds.map((kind) => [kind.id, kind]));
function picture(cell, kind) {
  const said = data.pictures.said[kind]?.[cell.id], title = kindOf[kind].title;
  const src = data.pictures.files[data.pictures.of[kind][cell.id]];
  const alt = `${title} of ${cell.name}. ${said || kindOf[kind].how}`;
  const caption = element("figcaption", {}, element("strong", {}, cell.short));
  if (said) caption.append(element("span", { class: "said" }, said));
  return element("figure", {}, element("img", { src, alt }), caption);
}
function drawPictures() {
  const kind = $("pictures-what").value, of = data.pictures.of[kind] || {};
  const cells = data.cells.filter((c) => of[c.id] !== undefined);
  const first = cells.find((c) => of[data.pairs[c.id]] !== undefined); // and what it is compared with
  for (const [id, cell] of [["pictures-a", first || cells[0]], ["pictures-b", first ? { id: data.pairs[first.id] } : cells[1] || cells[0]]]) {
    const before = $(id).value;
    fill($(id), cells.map((c) => [c.id, c.short]));
    $(id).value = of[before] !== undefined ? before : cell?.id;
  }
  $("pictures-how").textContent = `${kindOf[kind].title}. ${kindOf[kind].how}`;
  drawPair();
  $("gallery").replaceChildren(...cells.filter(visible).map((c) => picture(c, kind)));
}
function drawPair() {
  const kind = $("pictures-what").value, ids = [...new Set([$("pictures-a").value, $("pictures-b").value])];
  const pair = ids.map((id) => data.cells.find((c) => c.id === id));
  $("pair").replaceChildren(...pair.filter(Boolean).map((c) => picture(c, kind)));
}
// What there is no picture of, once for all kinds, and what would make it
function drawAbsent() {
  const of = data.pictures.absent, kinds = Object.keys(of), commands = [...new Set(kinds.flatMap((kind) => of[kind].commands))];
  const whose = (kind) => Object.keys(data.pictures.of[kind]).length ? ` of ${of[kind].rows.join("; ")}` : "";
  if (!kinds.length) return $("absent").replaceChildren();
  const what = kinds.map((kind) => data.pictures.titles[kind].toLowerCase() + whose(kind)).join(", ");
  const note = element("p", { class: "note" }, `Not made of these runs: ${what}. `);
  if (!commands.length) {
    note.append("They are kept without weights: ", element("code", {}, data.command), " makes them where it trains these runs anew.");
    return $("absent").replaceChildren(note);
  }
  const made = element("details", {}, element("summary", {}, "What makes them"));
  for (const command of commands) made.append(element("p", { class: "note" }, element("code", {}, command), " ", copier(command)));
  $("absent").replaceChildren(note, made);
}
