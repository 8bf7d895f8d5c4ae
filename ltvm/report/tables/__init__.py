"""Tables of a report: texts such as ``457 ± 12``, the runs one by one, and all of them as files."""
