"""mkdocs hooks: the README as first page, and whatever pages outside docs/ link to."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
REPORTS = "reports/reference"
LINK = re.compile(r"(?<=\]\()(?!https?:|#)[^)\s]+(?=\))")
ROLE = re.compile(r":(?:class|func|meth):(?=<code>)")
MOVED = {"README.md": "index.md"}  # places in the checkout -> on the site


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the README and other pages at the top, every committed report, and what pages link to."""
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE"):
        add(files, config, Path(name))
    reports = sorted(ROOT.glob(f"{REPORTS}/*/README.md"))
    for report in reports:
        for file in (report, *report.parent.glob("*.png"), *report.parent.glob("index.html")):
            add(files, config, file.relative_to(ROOT))
    for file in sorted(ROOT.glob(f"{REPORTS}/leaderboard/[!.]*")):  # its pages and their tables
        add(files, config, file.relative_to(ROOT))
    lines = ["- [leaderboard](leaderboard/index.html): all committed records, ranked\n"]
    lines += [f"- [{r.parent.name}]({r.parent.name}/README.md): {asked(r)}\n" for r in reports]
    listed = "".join(lines)
    content = f"# Reports\n\nBuilt by `make reference` from the committed records.\n\n{listed}\n"
    files.append(File.generated(config, f"{REPORTS}/index.md", content=content))
    for page in ROOT.glob("docs/**/*.md"):
        for target in LINK.findall(page.read_text("utf-8")):
            linked = (page.parent / target.split("#")[0]).resolve()
            if linked.is_file() and ROOT / "docs" not in linked.parents:
                add(files, config, linked.relative_to(ROOT))
    return files


def asked(report: Path) -> str:
    """The question of a report, its third line."""
    return report.read_text("utf-8").splitlines()[2].strip("* ")


def add(files: Files, config: MkDocsConfig, place: Path) -> None:
    place_on_site = MOVED.get(str(place), str(place))
    if files.get_file_from_path(place_on_site) is None:
        content = (ROOT / place).read_bytes()
        files.append(File.generated(config, place_on_site, content=content))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Links as they are in the checkout, turned into those of the site."""
    origin = page.file.src_uri
    if (ROOT / "docs" / origin).is_file():
        origin = f"docs/{origin}"
    folder = (ROOT / {v: k for k, v in MOVED.items()}.get(origin, origin)).parent
    depth = "../" * page.file.src_uri.count("/")

    def moved(match: re.Match[str]) -> str:
        target, _, anchor = match[0].partition("#")
        place = (folder / target).resolve()
        if ROOT not in place.parents:
            return match[0]
        name = str(place.relative_to(ROOT))
        name = MOVED.get(name, name).removeprefix("docs/")
        if place.is_dir() and name == REPORTS:
            name = f"{REPORTS}/index.md"
        if place.is_dir() and files.get_file_from_path(f"{name}/README.md"):
            name = f"{name}/README.md"
        return depth + name + (f"#{anchor}" if anchor else "")

    return LINK.sub(moved, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Docstrings name classes as Sphinx would; here a name is a name."""
    return ROLE.sub("", html)
