"""What one outer iteration may spend: equal for all methods."""

from __future__ import annotations

from dataclasses import dataclass

from ltvm.errors import require


@dataclass(frozen=True)
class Budget:
    """What one outer iteration may spend, by default and for the baselines.

    A pass is one forward and backward for one image, through the decoder or through an encoder
    that mirrors it, whether for a chain step or for a learning step. Baselines without a
    learning phase make as many sweeps, or epochs, as come nearest to the same ``passes``.
    """

    sweeps: int  # L: sweeps over all images per iteration
    steps: int  # K: chain steps per visit of an image
    updates_per_batch: int  # Adam steps on the decoder per visited batch
    learn_epochs: int  # passes over all images with the corrected codes held fixed
    batch: int  # images per mini-batch
    learning_rate: float = 2e-4

    def __post_init__(self) -> None:
        for key, least in (("sweeps", 1), ("steps", 1), ("updates_per_batch", 0)):
            value = getattr(self, key)
            require(value >= least, f"protocol.{key}", value, f"{least} or more")
        require(self.learn_epochs >= 0, "protocol.learn_epochs", self.learn_epochs, "0 or more")
        require(self.batch >= 2, "protocol.batch", self.batch, "2 or more")
        require(self.learning_rate > 0, "protocol.learning_rate", self.learning_rate, "above 0")

    @property
    def passes(self) -> int:
        """Passes per image and iteration."""
        return self.sweeps * (self.steps + self.updates_per_batch) + self.learn_epochs
