"""Trials that take a second: what tests of tuning have in common."""

import re

from small_networks import SMALL

TINY = [
    "protocol=smoke", "protocol.train_images=40", "protocol.batch=20", "protocol.iterations=1",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", "device=cpu",
    *SMALL,
]  # fmt: skip

TUNE = [
    "tune", "method=[vae]", *TINY, "--trials", "2", "--metric", "fd_digits",
    "--validation", "30",
]  # fmt: skip


def found_choices(printed):
    return re.findall(r"method=(tuned/\S+)", printed)
