"""Learning curves and pictures for TensorBoard: ``tensorboard=true``.

history, pictures -> event files in <run>/tensorboard, written anew by whoever goes on with a run

    tensorboard --logdir results/runs
"""

from __future__ import annotations

import importlib.util
import math
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltvm.config import Config
from ltvm.errors import InputError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
SPENT = ("passes", "decoder_updates", "flops")  # columns of a history that say what it cost


def check_board(config: Config) -> None:
    """Raise :class:`InputError` where TensorBoard is wanted and not installed."""
    if config.get("tensorboard") and importlib.util.find_spec("tensorboard") is None:
        raise InputError('tensorboard=true: needs a package; pip install "ltvm[tensorboard]"')


class Board:
    """What TensorBoard shows of one run; nothing unless ``wanted``.

    It has the rows of the history, each once: a run that goes on begins its files again, since what
    was written before its last checkpoint need not be what it is resumed from.
    """

    def __init__(self, directory: Path, wanted: bool, curves: Collection[str]) -> None:
        self.folder, self.wanted, self.curves = directory / FOLDER, wanted, curves
        self.rows = 0
        self.writer: SummaryWriter | None = None

    def show(self, history: Sequence[dict[str, Any]]) -> None:
        """Write the rows that are not written yet."""
        if not self.wanted:
            return
        writer = self.opened()
        for row in history[self.rows :]:
            for name, value in row.items():
                if name != "iteration" and not math.isnan(value):
                    writer.add_scalar(f"{self.kind(name)}/{name}", value, row["iteration"])
        self.rows = len(history)
        writer.flush()

    def finish(self, history: Sequence[dict[str, Any]], pictures: Iterable[Path]) -> None:
        """Write what is left and the pictures that there are, at the last iteration, and close."""
        if not self.wanted:
            return
        import numpy as np
        from PIL import Image

        self.show(history)
        for file in pictures:
            if file.is_file():
                pixels = np.atleast_3d(np.asarray(Image.open(file)))
                step = history[-1]["iteration"] if history else 0
                self.opened().add_image(file.stem, pixels, step, dataformats="HWC")
        self.opened().close()

    def opened(self) -> SummaryWriter:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            shutil.rmtree(self.folder, ignore_errors=True)
            # A server that has read the files that are gone forgets what it had of them.
            self.writer = SummaryWriter(str(self.folder), purge_step=0)
        return self.writer

    def kind(self, name: str) -> str:
        """Under which heading a column of the history stands."""
        if name in self.curves:
            return "curves"
        return "cost" if name in SPENT or name.endswith("_seconds") else "training"
