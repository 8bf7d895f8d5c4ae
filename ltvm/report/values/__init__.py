"""The long table that all is computed from: rows, what values are, which may stand together."""
