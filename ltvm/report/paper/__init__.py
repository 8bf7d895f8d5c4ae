"""The tables of a paper on the method, from whatever records there are: nothing is trained."""

from ltvm.report.paper.write import write_paper_tables

__all__ = ["write_paper_tables"]
