"""What is trained, or anybody's images: load, measure and look at it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltvm.api.words import split_hydra

if TYPE_CHECKING:
    import pandas as pd

    from ltvm.data.image_set import ImageSet
    from ltvm.methods.base import Method


def evaluate(
    images: Path | str, against: Path | str | None = None, **options: Any
) -> dict[str, Any]:
    """Score a directory of images, or a run's samples, with every metric on features.

    ``options`` are those of :class:`ltvm.scoring.Request`. Returns {name: {"value",
    "column", ...provenance}}. Raises :class:`ltvm.errors.InputError` for bad input.
    """
    from ltvm import scoring

    return scoring.evaluate(scoring.Request(images, against, **options))


def metric_parity(
    images: Path | str, against: Path | str | None = None, **options: Any
) -> pd.DataFrame:
    """One Frechet distance by each convention in the wild; arguments as ``evaluate``.

    Columns: convention, what, n, distance, ratio (to this suite's own, the first row).
    """
    from ltvm import scoring

    return scoring.metric_parity(scoring.Request(images, against, **options))


def evaluate_runs(
    runs: Sequence[Path | str], overrides: Sequence[str] = (), device: str | None = None
) -> dict[str, dict[str, Any]]:
    """Evaluate runs that are trained, without training; what is done already is not done again.

    ``overrides`` choose the evaluation, such as ``evaluation=digits_thorough``. Returns {directory:
    record with the values under ``metrics``}. Raises :class:`ltvm.errors.InputError` for bad
    input, or for a run that is not trained.
    """
    from ltvm.runs.afterwards.evaluate_again import evaluate_again

    return {str(run): evaluate_again(Path(run), overrides, device) for run in runs}


def make_pictures(
    runs: Sequence[Path | str], overrides: Sequence[str] = (), device: str | None = None
) -> dict[str, list[str]]:
    """Make the pictures that trained runs lack, from their weights; {directory: files made}.

    With ``sampler=NAME`` in ``overrides`` those of that evaluation's samples. Raises
    :class:`ltvm.errors.InputError` for a run that is not trained or has no weights any more.
    """
    from ltvm.runs.afterwards.pictures_again import add_pictures

    return {str(run): add_pictures(Path(run), overrides, device) for run in runs}


def write_images(overrides: Sequence[str], to: Path | str) -> dict[str, ImageSet]:
    """Write what a configuration trains and is tested on as ``to/train/*.png``, ``to/test/*.png``.

    Returns the images by split. Raises :class:`ltvm.errors.InputError` for bad input, or a folder
    that is there already.
    """
    import tempfile

    from ltvm.config import resolve
    from ltvm.data.cache import load_data
    from ltvm.data.folder import write_images as write
    from ltvm.errors import require
    from ltvm.runs.files.store import check_writable

    folder = Path(to).expanduser()
    require(not folder.exists() and str(to) != "", "--to", to, "a folder that is not there yet")
    data = load_data(resolve(list(overrides)))
    splits = {images.split: images for images in (data.train, data.test)}
    check_writable("--to", folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".images-", dir=folder.parent) as aside:
        whole = Path(aside) / folder.name
        for split, images in splits.items():
            write(images, whole / split)
        whole.rename(folder)
    return splits


def load(run_directory: Path | str, device: str | None = None, trust: bool = False) -> Method:
    """A trained method from a run's directory, computing as it did in training.

    It may have been trained on another ``device`` (None: the one in its configuration). Where the
    images that it was trained on are not here, it samples and infers all the same. Raises
    :class:`ltvm.errors.InputError` if files are absent or unreadable, or do not fit each other.
    Nothing of a stranger's run is executed: parts that its configuration names are followed where
    this installation offers them, or with ``trust``.
    """
    from ltvm.runs.execution.load import load_method

    return load_method(run_directory, device, trust, without_images=True)


def build(overrides: Sequence[str] = ()) -> Method:
    """The method of a configuration before training, as ``ltvm train`` builds it.

    To look into: ``method.fit_iteration()`` trains for one iteration and returns its scalars,
    ``method.problem`` has images, budget and clock, and after ``protocol.iterations`` of them the
    method is what ``ltvm train`` with these ``overrides`` ends with (on a CPU the very same, unless
    terms are equal in seconds). No record is written. Raises :class:`ltvm.errors.InputError` for
    bad input.
    """
    from ltvm.config import resolve
    from ltvm.data.cache import load_data
    from ltvm.runs.execution.build import build_method, build_problem
    from ltvm.runtime.devices import use_full_float32

    config = resolve(split_hydra(overrides)[0])
    use_full_float32()
    return build_method(config, build_problem(config, load_data(config)))
