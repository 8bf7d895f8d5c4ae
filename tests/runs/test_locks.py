"""Leases: one holder at a time, a dead one's is taken, a suspended one writes nothing more."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ltvm.errors import TakenOverError
from ltvm.runs.files import locks
from ltvm.runs.files.locks import holder, holding

HOLD = """
import sys, time
from pathlib import Path
from ltvm.runs.files.locks import holding
with holding(Path(sys.argv[1])) as hold:
    print(hold is not None, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "run" / ".held"


@pytest.fixture
def other(file):
    """Another process that holds the lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.wait()


def test_one_process_holds_and_others_see_who(file, other):
    with holding(file, timeout=0) as hold:
        assert hold is None
    seen = holder(file)
    assert seen.pid == other.pid
    assert str(seen).startswith(f"process {other.pid} on ")


def test_a_killed_process_on_this_host_holds_nothing(file, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert file.is_file()  # as it was left
    assert holder(file) is None
    with holding(file, timeout=0.5) as hold:
        assert hold is not None
    assert not file.exists()


def test_nothing_is_left_of_a_lease_that_ended(file):
    assert holder(file) is None
    with holding(file) as hold:
        hold.check()
        assert holder(file).pid == os.getpid()
    assert not file.exists()


def elsewhere(file):
    """The lease as a process on another host leaves it, whose life cannot be asked for."""
    content = file.read_text()
    host = next(line for line in content.splitlines() if line.startswith("host="))
    file.write_text(content.replace(host, "host=another"))


def test_another_hosts_lease_is_broken_when_its_heartbeat_is_and_not_before(file, monkeypatch):
    monkeypatch.setattr(locks, "LEASE", 2.0)
    monkeypatch.setattr(locks, "HEARTBEAT", 0.2)
    with holding(file) as hold:
        elsewhere(file)
        began = time.monotonic()
        with holding(file, timeout=3.0) as taken:  # it beats: nobody takes it
            assert taken is None
        assert time.monotonic() - began > 2.9
        hold._lease._stop_heartbeat()
        began = time.monotonic()
        with holding(file, timeout=10.0) as taken:
            assert taken is not None
            assert 1.9 < time.monotonic() - began < 8
            with pytest.raises(TakenOverError, match=f"taken over by process {os.getpid()} on"):
                hold.check()
            taken.check()


def test_a_holder_elsewhere_counts_by_its_last_heartbeat(file):
    with holding(file):
        elsewhere(file)
        assert holder(file).host == "another"
        long_ago = time.time() - locks.LEASE - 2 * locks.HEARTBEAT
        os.utime(file, (long_ago, long_ago))
        assert holder(file) is None


def test_a_lease_that_names_nobody_is_somebodys_while_it_is_new(file):
    file.parent.mkdir()
    file.write_bytes(b"")  # as a full disk leaves it, or a kill
    assert "unknown host" in str(holder(file))
    with holding(file, timeout=0) as hold:
        assert hold is None
    long_ago = time.time() - locks.LEASE - 2 * locks.HEARTBEAT
    os.utime(file, (long_ago, long_ago))
    assert holder(file) is None
    with holding(file, timeout=0) as hold:
        assert hold is not None
    assert not list(file.parent.iterdir())


def test_a_heartbeat_of_tomorrow_counts_from_the_first_look(file):
    with holding(file):
        elsewhere(file)
        tomorrow = time.time() + 86_400
        os.utime(file, (tomorrow, tomorrow))
        assert holder(file).host == "another"
        assert abs(file.stat().st_mtime - time.time()) < 10


def test_a_silent_holder_elsewhere_is_waited_out(file):
    assert locks.patience(file) == 1.0
    with holding(file):
        assert locks.patience(file) == 1.0
        elsewhere(file)
        long_ago = time.time() - locks.LEASE - 2 * locks.HEARTBEAT
        os.utime(file, (long_ago, long_ago))
        assert locks.patience(file) > locks.LEASE
