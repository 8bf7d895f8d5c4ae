"""Pictures that a trained run lacks, from its kept weights: none of its numbers is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ltvm.config import Config
from ltvm.errors import InputError
from ltvm.runs.afterwards.evaluate_again import with_overrides
from ltvm.runs.afterwards.kept import kept
from ltvm.runs.files.store import PICTURES, SAMPLED, Run
from ltvm.runs.identity import evaluation_identity
from ltvm.runs.trust import check_parts
from ltvm.runtime.images import read_picture


def add_pictures(
    directory: Path, overrides: Sequence[str] = (), device: str | None = None
) -> list[str]:
    """Make those of ``PICTURES`` that are not there, or damaged; the files that were made.

    With ``sampler=NAME`` those of that evaluation's own samples. Raises
    :class:`ltvm.errors.InputError` for a run that is not trained, an evaluation that is not done,
    and as :func:`ltvm.load` does.
    """
    run, record, config = kept(directory)
    if not overrides:
        absent = {kind: run.picture(kind) for kind in PICTURES}
    else:
        config = with_overrides(config, run, record, overrides)
        check_parts(config, run.config_file)
        identity = evaluation_identity(config)
        words = " ".join(overrides)
        if "_target_" not in (config.get("sampler") or {}):
            raise InputError(f"{words}: allowed: sampler=NAME and the evaluation it was done with")
        if run.status(identity) != "done":
            raise InputError(f"{directory}: {words} is not done; `ltvm evaluate` does it")
        absent = {kind: run.evaluation_picture(identity, kind) for kind in SAMPLED}
    absent = {kind: file for kind, file in absent.items() if not is_picture(file)}
    if absent:
        config["device"] = config["device"] if device is None else device
        make_held(run, config, list(absent), bool(overrides))
    return [str(file.relative_to(directory)) for file in absent.values()]


def is_picture(file: Path) -> bool:
    try:
        read_picture(file)
    except (OSError, ValueError, SyntaxError):  # PIL's of a damaged chunk is the last
        return False
    return True


def make_held(run: Run, config: Config, kinds: list[str], sampled: bool) -> None:
    """These kinds, while holding the run's lock."""
    from ltvm.runs.execution.execute import loaded  # torch takes seconds to import
    from ltvm.runs.execution.pictures import save_pictures, save_sampled
    from ltvm.runs.execution.sampler import with_sampler

    with run.held() as hold:
        if hold is None:
            who = run.holder() or "another process"
            raise InputError(f"{run.directory}: {who} is at it; allowed: one process at a time")
        trained, _ = loaded(config, run)
        method, data, context = trained.method, trained.data, trained.context
        if not sampled:
            save_pictures(run.directory, method, data, context, kinds)
            return
        method, _ = with_sampler(config, method, context.stream("sampler"))
        save_sampled(run, evaluation_identity(config), method, data, context, kinds)
