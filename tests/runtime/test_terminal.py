"""Words of anybody command no terminal: in lines, in tables, in bars."""

import io
import sys

import pytest
from rich.table import Table

from ltvm.cli.main import main
from ltvm.runs.ablations.forecast import Work
from ltvm.runs.execution.progress import Reporter
from ltvm.runtime.terminal import VisibleStream, console, visible, visible_output

BAD = "\x1b[31m\x1b]0;title\x07\r\x9b2J\u202e[/bold]"
SHOWN = r"\x1b[31m\x1b]0;title\x07\r\x9b2J\u202e[/bold]"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_control_characters_are_written_out_and_words_are_left_alone():
    assert visible(BAD) == SHOWN
    said = "ltvm: ± 0.5 ↓ Größe\n\tκλ 数 🙂"
    assert visible(said) == said
    assert visible(visible(BAD)) == visible(BAD)


def test_what_anybody_prints_is_made_visible_for_a_while(capsys):
    before = sys.stdout, sys.stderr
    with visible_output():
        print(BAD)
        sys.stderr.writelines([BAD, "\n"])
        assert sys.stdout.encoding == before[0].encoding
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == (SHOWN + "\n", SHOWN + "\n")


def test_a_table_has_its_own_colours_and_no_others(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", VisibleStream(screen))
    monkeypatch.setenv("TERM", "xterm-256color")
    table = Table(BAD, title=BAD)
    table.add_row(BAD, style="bold")
    console(width=200, force_terminal=True).print(table)
    text = screen.getvalue()
    assert "\x1b[1m" in text  # bold
    assert text.count(SHOWN) == 3
    assert not [sign for sign in ("\x1b[31m", "\x1b]", "\x07", "\r", "\x9b") if sign in text]


def test_bars_name_a_run_by_its_words_alone(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", VisibleStream(screen))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    with Reporter([Work("kind")]) as reporter:
        reporter.start_run(BAD, Work("kind"))
        reporter.say(BAD)
        reporter.bars.refresh()
    text = screen.getvalue()
    assert text.count(SHOWN) >= 2
    assert "\x1b]" not in text
    assert "\x07" not in text


def test_a_line_about_bad_input_is_visible(tmp_path, capsys):
    assert main(["report", BAD, "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "ltvm: error: " in error
    assert SHOWN in error
    assert "\x1b" not in error


def test_a_status_shows_the_words_of_a_manifest(many_words, capsys):
    assert main(["status", "--results", str(many_words)]) == 0
    text = "".join(capsys.readouterr().out.split("\n"))
    assert "\x1b" not in text
    assert SHOWN in text
    assert main(["status", "--results", str(many_words), "--json"]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.fixture
def many_words(tmp_path):
    """A results directory with the manifest of an ablation whose note is a stranger's."""
    from ltvm.runtime.files import write_sealed_json

    run = {
        "path": "runs/a/b/c/seed=0", "cell": "c", "seed": 0, "data": "a", "method": "b",
        "label": "b", "style": {}, "protocol": "p", "evaluations": [], "values": {}, "note": BAD,
        "command": "ltvm train",
    }  # fmt: skip
    manifest = {
        "name": "grid", "ablation": "grid", "question": "?", "reference": None,
        "combine": "product", "axes": [], "command": "ltvm ablate", "seeds": [0], "runs": [run],
    }  # fmt: skip
    write_sealed_json(tmp_path / "ablations" / "grid.json", manifest)
    return tmp_path
