"""Tuning: the same number of trials for every method, each a run in the store of runs."""
