"""Hydra configurations of ltvm, packaged as pkg://ablations."""
