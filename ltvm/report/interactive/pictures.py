"""The page's pictures: those that runs keep, made small; what they lack, and what makes it."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
from PIL import Image

from ltvm.report.values.cells import cell_names, drawn_cells, external_cells, stored_texts
from ltvm.runs.afterwards.evaluate_again import CHOSEN
from ltvm.runs.files.store import SAMPLED, Run
from ltvm.runtime.commands import directories_in, overrides_in, written
from ltvm.runtime.files import parse_json
from ltvm.runtime.images import FACTS, read_picture

Json = dict[str, Any]
PICTURED = 12  # rows whose pictures are shown
ROOM = 1_200_000  # characters that they may take; of more, fewer rows are shown
WIDEST = 672  # pixels: ten images of 64
KINDS = {  # kind -> title, what it shows
    "samples": (
        "Samples",
        "One place, one prior draw, in every row of one seed.",
    ),
    "reconstructions": (
        "Reconstructions",
        "Images above what became of them: the upper pair training images with their own codes, "
        "the lower pair unseen images with inferred codes. The same images in every row.",
    ),
    "nearest": (
        "Nearest training images",
        "Is it memorised? First and second band: the first samples, each above its nearest "
        "training image by mean squared difference of pixels; third band: unseen images above "
        "theirs, as near as images are without being copied. Blurred images are near to "
        "everything: look.",
    ),
    "interpolations": (
        "Interpolations",
        "Upper rows: from one unseen image to another (these at the ends) through their inferred "
        "codes. Lower rows: from one prior draw to another. All along an arc about the origin: the "
        "middle of a straight line would be shorter than what a normal prior draws.",
    ),
}


@dataclass
class Shown:
    """Pictures of some rows, each file once."""

    files: list[str] = field(default_factory=list)  # as data URIs
    of: dict[str, dict[str, int]] = field(default_factory=dict)  # kind -> cell -> number of a file
    said: dict[str, dict[str, str]] = field(default_factory=dict)  # what belongs below it
    absent: dict[str, Json] = field(default_factory=dict)  # kind -> rows without, and commands

    @property
    def size(self) -> int:
        return sum(map(len, self.files))


def pictures_of(manifest: Json, table: pd.DataFrame, results: Path, room: int = ROOM) -> Json:
    """Pictures of the first seed that is done of each row, of as many rows as there is room for."""
    first = first_runs(table)
    cache: dict[Path, tuple[str, Json] | None] = {}
    most = PICTURED
    while True:
        chosen = first.loc[[c for c in drawn_cells(table, most) if c in first.index]]
        shown = shown_of(manifest, table, chosen, results, cache)
        if shown.size <= room or most == 1:
            break
        most -= 1
    if shown.size > room:
        shown, chosen = Shown(of={kind: {} for kind in KINDS}), first.iloc[:0]
    kinds = [
        {"id": kind, "title": title, "how": how}
        for kind, (title, how) in KINDS.items()
        if shown.of[kind]
    ]
    return {
        "kinds": kinds if any(shown.of.values()) else [],
        "titles": {kind: title for kind, (title, _) in KINDS.items()},
        "files": shown.files, "of": shown.of, "said": shown.said, "absent": shown.absent,
        "seeds": sorted({int(seed) for seed in chosen["seed"]}),
        "left_out": len(first) - len(chosen),
    }  # fmt: skip


def first_runs(table: pd.DataFrame) -> pd.DataFrame:
    """cell -> seed and path of its first run that is trained, in the order of the rows."""
    runs = table[table["status"] == "done"][["cell", "seed", "path"]]
    runs = runs.sort_values("seed", kind="stable").drop_duplicates("cell").set_index("cell")
    return runs.loc[[c for c in dict.fromkeys(table["cell"]) if c in runs.index]]


def shown_of(
    manifest: Json,
    table: pd.DataFrame,
    chosen: pd.DataFrame,
    results: Path,
    cache: dict[Path, tuple[str, Json] | None],
) -> Shown:
    shown, numbers, names = Shown(), {}, cell_names(table, manifest)
    entries = {(entry["cell"], entry["path"]): entry for entry in manifest["runs"]}
    without_weights = external_cells(table) | set(stored_texts(table))  # nothing could make theirs
    for kind in KINDS:
        shown.of[kind], absent = {}, {}
        for cell, path in chosen["path"].items():
            entry = entries.get((cell, path), {})
            file = picture_file(results / str(path), entry, kind)
            if file not in cache:
                cache[file] = embedded(file)
            found = cache[file]
            if found is None and cell in without_weights:
                continue
            if found is None:
                kept = Run(results / str(path)).trained_file.is_file()
                absent[names[str(cell)]] = command_for(entry, str(path), kind) if kept else None
                continue
            if file not in numbers:
                numbers[file] = len(shown.files)
                shown.files.append(found[0])
            shown.of[kind][str(cell)] = numbers[file]
            if kind == "nearest" and (text := distances_text(found[1])):
                shown.said.setdefault(kind, {})[str(cell)] = text
        if absent:
            commands = joined(command for command in absent.values() if command)
            shown.absent[kind] = {"rows": list(absent), "commands": commands}
    return shown


def picture_file(run: Path, entry: Json, kind: str) -> Path:
    """Where a picture of a row is: with the run, or with the evaluation of the row's sampler."""
    if entry.get("sampler") and kind in SAMPLED:
        files = [run / "evaluations" / f"{e}{SAMPLED[kind]}.png" for e in entry["evaluations"]]
        return next((file for file in files if file.is_file()), [*files, run / "none"][0])
    return run / f"{kind}.png"


def command_for(entry: Json, path: str, kind: str) -> tuple[str, tuple[str, ...]]:
    """A run, as its folder is called where results are by default, what chooses a sampler, and
    the directories with parts of the user's own.
    """
    command, words = str(entry.get("command", "")), list[str]()
    if entry.get("sampler") and kind in SAMPLED:
        own = (*(f"{group}=" for group in CHOSEN), *(f"{group}." for group in CHOSEN))
        chosen = (*own, "protocol.evaluation.")
        words = [word for word in overrides_in(command) if word.startswith(chosen)]
    return f"results/{path}", (*words, *directories_in(command))


def joined(parts: Any) -> list[str]:
    """Commands for these runs, one for each choice of a sampler."""
    by_words: dict[tuple[str, ...], list[str]] = {}
    for run, words in parts:
        by_words.setdefault(words, []).append(run)
    return [written("pictures", *dict.fromkeys(runs), *words) for words, runs in by_words.items()]


def embedded(file: Path) -> tuple[str, Json] | None:
    """A picture as a data URI, at most ``WIDEST`` wide, and what it says of itself; None: none."""
    try:
        picture = read_picture(file)
    except (OSError, ValueError, SyntaxError):
        return None
    facts = facts_of(picture.info.get(FACTS))
    if picture.width > WIDEST:
        height = round(picture.height * WIDEST / picture.width)
        picture = picture.resize((WIDEST, height), Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode(), facts


def facts_of(text: object) -> Json:
    """What a picture says of itself; nothing where that is not what a run writes."""
    try:
        facts = parse_json(text.encode()) if isinstance(text, str) else {}
    except ValueError:
        return {}
    sound = isinstance(facts, dict) and isinstance(facts.get("train"), int)
    for name in ("samples", "unseen"):
        values = facts.get(name) if sound else None
        sound = isinstance(values, list) and bool(values) and all(map(is_distance, values))
    return facts if sound else {}


def is_distance(value: object) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and math.isfinite(value) and value >= 0  # type: ignore[arg-type, operator]


def distances_text(facts: Json) -> str:
    """How far samples are from their nearest training images, beside how far unseen images are."""
    if not facts:
        return ""
    parts = [
        f"{len(facts[kind])} {words} {median(facts[kind]):.3g} (least {min(facts[kind]):.3g})"
        for kind, words in (("samples", "samples"), ("unseen", "unseen images"))
    ]
    return (
        f"Median distance to the nearest of {facts['train']:,} training images: "
        f"{parts[0]}, {parts[1]}."
    )
