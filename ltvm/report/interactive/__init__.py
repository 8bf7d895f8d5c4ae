"""``index.html``: the report as one page that opens without a network, from the same long table."""

from ltvm.report.interactive.render import write_index

__all__ = ["write_index"]
