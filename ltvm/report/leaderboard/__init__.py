"""A page for every data set and protocol: who is better, how sure that is, what it costs."""

from ltvm.report.leaderboard.write import write_leaderboard

__all__ = ["write_leaderboard"]
