"""A report: one folder with a page, tables, figures and the long table."""
