"""Runs and results of a stranger: what they name, link to and are nested in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.faults.strangers import (
    EPS,
    NAME,
    SECRET,
    Build,
    Hostile,
    changed_config,
    evil_pickle,
    evil_zip,
    place,
    png,
    set_at,
)
from ltvm.runtime.files import read_json

EXECUTES = {"_target_": "os.system", "command": "touch executed"}
OF_RUN = (["evaluate", "RUN", "mnist5k"], ["evaluate", "RUN", "evaluation=latents"])
OF_RESULTS = (["status"], ["report"], ["export", NAME, "--to", "elsewhere"], ["gc", "--yes"])


def with_run(change: Callable[[Path], object]) -> Build:
    """The small run below ``results``, and its folder changed."""
    return lambda work: change(place(work / "results"))


def with_config(key: str, value: Any) -> Build:
    return with_run(lambda run: changed_config(run, set_at(key, value)))


def with_json(name: str, change: Callable[[dict[str, Any]], object]) -> Build:
    """The small run, and a JSON file below ``results`` changed."""

    def build(work: Path) -> None:
        place(work / "results")
        (file,) = (work / "results").rglob(name)
        content = read_json(file)
        change(content)
        file.write_text(json.dumps(content))

    return build


def with_file(name: str, content: bytes | str | None) -> Build:
    """The small run, and a file of it, or of the results, with other content; None: a pipe."""

    def build(work: Path) -> None:
        run = place(work / "results")
        file = next((work / "results").rglob(name), run / name)
        file.unlink(missing_ok=True)
        if content is None:
            os.mkfifo(file)
        else:
            file.write_bytes(content.encode() if isinstance(content, str) else content)

    return build


MANIFEST = f"{NAME}.json"
DEEP = "[" * 100_000 + "]" * 100_000
NESTED = '{"a":' * 600 + "1" + "}" * 600
ALIASES = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i + 1}: &a{i + 1} [{','.join([f'*a{i}'] * 9)}]\n" for i in range(12)
)


def command_with(word: str) -> Build:
    return with_json("record.json", lambda r: r.update(command=f"{r['command']} {word}"))


def own_module(work: Path) -> None:
    """A directory of the user's own whose module imports what a stranger then names through it."""
    with_config("data.load", {**EXECUTES, "_target_": "mine.os.system"})(work)
    (work / "own").mkdir()
    (work / "own" / "mine.py").write_text("import os\n\n\ndef load():\n    pass\n")


def evil_weights(run: Path) -> None:
    """A pickle in place of the weights, and its checksum in the record."""
    from ltvm.runtime.files import sha256_of

    (run / "final.safetensors").write_bytes(evil_pickle())
    record = read_json(run / "record.json")
    record["final_sha256"] = sha256_of(run / "final.safetensors")
    (run / "record.json").write_text(json.dumps(record))


def evil_checkpoint(write: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda run: write(run / "checkpoint.pt")


EXECUTION = [
    *(
        Hostile(
            "_target_ in a configuration",
            key,
            with_config(key, value),
            OF_RUN,
            "--trust",
            short=key in ("data.load", "method.solver", "evaluation.metrics.x"),
        )
        for key, value in {
            "data.load": EXECUTES,
            "data": {**EXECUTES, "name": "x", "load": EXECUTES},
            "method._target_": "os.system",
            "method.solver": "os.system",
            "method.kernel": EXECUTES,
            "decoder._target_": "builtins.eval",
            "decoder.encoder._target_": "subprocess.Popen",
            "prior": EXECUTES,
            "evaluation.extractor": EXECUTES,
            "evaluation.metrics.x": EXECUTES,
            "nested": [[{"deep": EXECUTES}]],
            "data.load._target_": "hydra.utils.instantiate",
            "method": {"_target_": "ltvm.runtime.files.write_text", "path": "executed", "text": ""},
            "prior._target_": "ltvm.models.prior.torch.load",
        }.items()
    ),
    Hostile(
        "_target_ in a configuration",
        "that is no word",
        with_config("data.load", {"_target_": ["os.system"]}),
        OF_RUN[:1],
        "_target_",
    ),
    Hostile(
        "_target_ in a configuration",
        "through a module of one's own",
        own_module,
        [[*command, "--config-dir", "own"] for command in OF_RUN],
        "mine.os.system",
        short=True,
    ),
    *(
        Hostile("a command in a record", word, command_with(word), OF_RUN[1:], named, short=short)
        for word, named, short in (
            (
                "'++evaluation.metrics.x={_target_:os.system,command:\"touch executed\"}'",
                "os.system",
                True,
            ),
            ("'+model.note=${oc.env:LTVM_SECRET}'", "plain values", True),
            ("'hydra.searchpath=[file:///tmp]'", "plain values", False),
            ("--config-dir=/tmp", "plain values", False),
            ("'unbalanced", "no command", False),
            ("method=../../../../tmp/x", "method=", False),
        )
    ),
    Hostile(
        "a command in a record",
        "that is a list",
        with_json("record.json", lambda r: r.update(command=["x"])),
        OF_RUN[1:],
        "record.json",
    ),
    Hostile(
        "YAML",
        "!!python/object/apply",
        with_file("config.yaml", "!!python/object/apply:os.system ['touch executed']"),
        OF_RUN,
        "config.yaml",
        short=True,
    ),
    Hostile(
        "YAML",
        "!!python/name",
        with_file("config.yaml", "data: !!python/name:os.system"),
        OF_RUN,
        "config.yaml",
    ),
    Hostile(
        "YAML",
        "interpolation of the environment",
        with_config("data.name", "${oc.env:LTVM_SECRET}"),
        OF_RUN,
    ),
    Hostile(
        "YAML",
        "aliases that grow",
        with_file("config.yaml", ALIASES),
        OF_RUN,
        "config.yaml",
        short=True,
    ),
    Hostile("YAML", "nested 100,000 deep", with_file("config.yaml", DEEP), OF_RUN, "config.yaml"),
    Hostile("YAML", "a list", with_file("config.yaml", "[1, 2]"), OF_RUN, "config.yaml"),
    Hostile(
        "pickles", "in place of safetensors", with_run(evil_weights), OF_RUN, "final.safetensors"
    ),
    Hostile(
        "pickles",
        "in place of a checkpoint",
        with_run(evil_checkpoint(lambda p: p.write_bytes(evil_pickle()))),
        OF_RUN[:1],
        "checkpoint.pt",
    ),
    Hostile(
        "pickles",
        "within a checkpoint",
        with_run(evil_checkpoint(evil_zip)),
        OF_RUN[:1],
        "checkpoint.pt",
    ),
]


def to_victim(name: str) -> Callable[[Path], object]:
    """A run's folder, or one in it or below ``results``, that is a link to the victim's.

    What is there is as it was, with a secret in it, and files that ``ltvm gc`` removes elsewhere.
    """

    def change(run: Path) -> None:
        results, victim = run.parents[4], run.parents[6] / "home" / "victim"
        folder = {"run": run, "evaluations": run / "evaluations"}.get(name, results / name)
        if folder.exists():
            folder.rename(victim / name)
        else:
            (victim / name).mkdir()
        for file in (".x.json.0123456789abcdef.tmp", "checkpoint.pt", "history.csv"):
            (victim / name / file).write_text(SECRET)
            os.utime(victim / name / file, (1, 1))
        folder.symlink_to(victim / name)

    return change


def link(name: str) -> Callable[[Path], object]:
    """A file of a run that is a link to the secret."""

    def change(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(run.parents[6] / "home" / "secret.txt")

    return change


def with_root(work: Path) -> None:
    """Images to be downloaded to where a stranger says."""
    root = str(work.parent / "home" / "victim")
    load = {"_target_": "ltvm.data.mnist.load", "root": root}
    with_config("data.load", load)(work)


WRITES = [
    *(
        Hostile(
            "names in a manifest",
            f"{key} {value!r}"[:60],
            with_json(MANIFEST, change),
            OF_RESULTS[:3],
            NAME,
            (0, 1, 2),
            short=key in ("name", "evaluations"),
        )
        for key, value, change in (
            ("name", "../../x", lambda m: m.update(name="../../x")),
            ("name", "/x", lambda m: m.update(name="/x")),
            ("path", "../src", lambda m: m["runs"][0].update(path="../src")),
            ("path", "/etc", lambda m: m["runs"][0].update(path="/etc")),
            ("path", "runs/../../x", lambda m: m["runs"][0].update(path="runs/../../x")),
            ("evaluations", "../../x", lambda m: m["runs"][0].update(evaluations=["../../x"])),
            ("data", "../../x", lambda m: m["runs"][0].update(data="../../x")),
            ("method", "/x", lambda m: m["runs"][0].update(method="/x")),
            ("axes", "../../x", lambda m: m.update(axes=["../../x", "method"])),
            ("axes", "3", lambda m: m.update(axes=3)),
            ("runs", "no mapping", lambda m: m.update(runs=["x"])),
            ("runs", "without keys", lambda m: m["runs"][0].clear()),
            ("question", "of Rich's markup", lambda m: m.update(question="a [/b] [link=x]")),
        )
    ),
    Hostile(
        "links",
        "a run's folder",
        with_run(to_victim("run")),
        (["export", NAME, "--to", "elsewhere"], OF_RUN[1]),
        short=True,
    ),
    Hostile(
        "links",
        "a run's folder, other commands",
        with_run(to_victim("run")),
        (["status"], ["report"], ["gc", "--yes"]),
        None,
        (0, 1, 2),
    ),
    Hostile(
        "links",
        "evaluations",
        with_run(to_victim("evaluations")),
        (*OF_RUN[1:], ["gc", "--yes"]),
        None,
        (0, 2),
        short=True,
    ),
    Hostile(
        "links",
        "ablations",
        with_run(to_victim("ablations")),
        [["gc", "--yes", "--unreferenced"], ["status"]],
        None,
        (0, 2),
    ),
    Hostile(
        "links",
        "launcher",
        with_run(to_victim("launcher")),
        [["gc", "--yes", "--days", "0"]],
        None,
        (0,),
    ),
    Hostile(
        "links",
        "a temporary folder",
        with_run(to_victim(".import-x")),
        [["gc", "--yes", "--days", "0"]],
        None,
        (0,),
    ),
    *(
        Hostile(
            "links",
            f"{name} to a secret",
            with_run(link(name)),
            [
                ["export", NAME, "--to", "elsewhere"],
                ["export", NAME, "--to", "x.tar.gz"],
                ["import", "results", "--results", "other"],
            ],
            None,
            (0, 1, 2),
        )
        for name in ("history.csv", "samples.png", "config.yaml")
    ),
    Hostile(
        "downloads", "to a folder that a configuration names", with_root, OF_RUN, "LTVM_DATA_ROOT"
    ),
]


FILES = [
    *(
        Hostile(
            "files of a run",
            f"{name}: {what}",
            with_file(name, content),
            commands,
            named,
            (0, 1, 2),
            short=short,
        )
        for name, what, content, commands, named, short in (
            ("record.json", "a named pipe", None, (*OF_RUN[1:], *OF_RESULTS), None, True),
            ("record.json", "nested 100,000 deep", DEEP, (*OF_RUN[1:], *OF_RESULTS), None, True),
            ("record.json", "nested 600 deep", NESTED, (*OF_RUN[1:], *OF_RESULTS), None, False),
            ("record.json", "NaN", '{"status": NaN}', (*OF_RUN[1:], *OF_RESULTS), None, False),
            (
                "record.json",
                "a status that is a list",
                '{"status": ["done"]}',
                (*OF_RUN[1:], *OF_RESULTS),
                None,
                False,
            ),
            ("config.yaml", "a named pipe", None, OF_RUN, "config.yaml", False),
            (MANIFEST, "a named pipe", None, (["report", NAME], ["status"]), NAME, False),
            (MANIFEST, "nested 100,000 deep", DEEP, OF_RESULTS[:3], NAME, True),
            (MANIFEST, "NaN", '{"name": NaN, "runs": []}', OF_RESULTS[:3], NAME, False),
            (MANIFEST, "a list", "[]", OF_RESULTS[:3], NAME, False),
            ("history.csv", "a named pipe", None, OF_RESULTS, None, False),
            (
                "final.safetensors",
                "a header longer than the file",
                b"\xff" * 8 + b"{}",
                OF_RUN,
                None,
                False,
            ),
        )
    ),
    Hostile(
        "files of a run",
        "record.json: 1 GB",
        with_run(lambda run: os.truncate(run / "record.json", 2**30)),
        (*OF_RUN[1:], *OF_RESULTS),
        None,
        (0, 1, 2),
    ),
    *(
        Hostile(
            "files of a run",
            f"samples.png: {what}",
            with_file("samples.png", content),
            (["report"],),
            named,
            (0,),
        )
        for what, content, named in (
            ("13,000 pixels a side", png(13_000, 13_000, 1), "samples.png is no picture"),
            ("PostScript", EPS, "samples.png is no picture"),
            ("a named pipe", None, None),
        )
    ),
    Hostile(
        "files of a run",
        "an evaluation: nested",
        with_run(lambda run: next((run / "evaluations").glob("*.json")).write_text(DEEP)),
        OF_RESULTS,
        None,
        (0, 1, 2),
    ),
]
