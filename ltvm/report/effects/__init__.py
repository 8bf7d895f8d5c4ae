"""Where two methods differ: their paired differences at every setting that both were run at."""

from ltvm.report.effects.write import write_effects

__all__ = ["write_effects"]
