"""Threads fit the cores that a process may use, and sleep while they wait."""

import os
import subprocess
import sys

import pytest

from ltvm.runtime.threads import available_cores, wait_passively


@pytest.mark.parametrize(
    ("set_before", "after"),
    [
        ({}, {"OMP_WAIT_POLICY": "passive"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
        ({"GOMP_SPINCOUNT": "5"}, {"GOMP_SPINCOUNT": "5"}),
    ],
)
def test_what_a_user_sets_stays(set_before, after):
    environment = dict(set_before)
    wait_passively(environment)
    assert environment == after


def test_the_command_line_sets_it_before_torch_is_there():
    code = (
        "import os, sys; from ltvm.cli.main import main; main(['status', '--results', 'none'])\n"
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "passive"


@pytest.mark.parametrize(
    ("version", "limits", "cores"),
    [
        (2, {"a/b/cpu.max": "150000 100000", "a/cpu.max": "max 100000"}, 2),
        (2, {"a/b/cpu.max": "max 100000", "a/cpu.max": "100000 100000"}, 1),
        (2, {"a/b/cpu.max": "10000 100000"}, 1),
        (2, {}, 8),
        (1, {"a/b/cpu.cfs_quota_us": "300000", "a/b/cpu.cfs_period_us": "100000"}, 3),
        (1, {"a/b/cpu.cfs_quota_us": "-1", "a/b/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_cores_respect_control_groups(tmp_path, monkeypatch, version, limits, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    own = tmp_path / "own"
    own.write_text("0::/a/b\n" if version == 2 else "4:memory:/x\n2:cpu,cpuacct:/a/b\n")
    base = tmp_path / "cgroup" / ("" if version == 2 else "cpu,cpuacct")
    for name, text in limits.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(text + "\n")
    assert available_cores(tmp_path / "cgroup", own) == cores


def test_cores_respect_affinity_and_absent_control_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert available_cores(tmp_path, tmp_path / "none") == 1
