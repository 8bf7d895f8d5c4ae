"""Who is at a run: a lease in a file, right on any file system that machines share.

The lease names its host and process, and its holder touches it every ``HEARTBEAT`` seconds. It
is taken over where its process is known to be dead (on the same host, at once), or where no
heartbeat was seen for ``LEASE`` seconds of the taker's own clock. No ``flock``, which on many
network file systems is known to one node alone.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import SoftFileLease, Timeout

from ltvm.errors import TakenOverError, VanishedError

LEASE = 300.0  # seconds without a heartbeat after which a run is another process's to take
HEARTBEAT = 30.0


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease."""

    host: str
    pid: int

    def is_here(self) -> bool:
        """Whether it is this process."""
        return self.pid == os.getpid() and self.host.split("?")[0] == socket.gethostname()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.split('?')[0]}"


class Hold:
    """A lease that this process has."""

    def __init__(self, lease: SoftFileLease) -> None:
        self._lease, self._token = lease, lease.token

    def check(self) -> None:
        """Raise :class:`ltvm.errors.TakenOverError` if another process has taken the lease,
        :class:`ltvm.errors.VanishedError` if the folder that it is in has gone.

        So it does from one that was suspended, or cut off from its files, for ``LEASE`` seconds;
        whoever has lost a run must not write to it any more.
        """
        owner, folder = self._lease.owner, Path(self._lease.lock_file).parent
        if owner is None and not folder.is_dir():
            raise VanishedError(f"{folder}: is gone while its run was under way")
        if owner is None or owner.token != self._token:
            by = f" by {Holder(owner.hostname, owner.pid)}" if owner is not None else ""
            raise TakenOverError(
                f"{self._lease.lock_file}: taken over{by} after {LEASE:.0f} s without a heartbeat"
            )


def lease_of(file: Path) -> SoftFileLease:
    return SoftFileLease(file, lease_duration=LEASE, heartbeat_interval=HEARTBEAT)


@contextmanager
def holding(file: Path, timeout: float = 1.0) -> Iterator[Hold | None]:
    """Hold the lease in ``file``, which is gone afterwards; None if another process keeps it.

    ``timeout`` in seconds, -1: as long as it takes. More than ``LEASE`` takes over from a machine
    that died. The usual second is for somebody who asks for the status just now.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    remove_broken(file)
    lease = lease_of(file)
    try:
        lease.acquire(timeout=timeout)
    except Timeout:
        yield None
        return
    try:
        yield Hold(lease)
    finally:
        lease.release()


def patience(file: Path) -> float:
    """Seconds to try for a lease: long where its holder, on another host, has fallen silent.

    Whether it is gone is then seen by our own clock, within ``LEASE``.
    """
    silent = holder(file) is None and file.is_file()
    return LEASE + 2 * HEARTBEAT if silent else 1.0


def remove_broken(file: Path) -> None:
    """Remove a lease that names nobody, once it is old: a full disk left it, or a kill.

    It is moved first and looked at then, so that one that was just taken is put back.
    """
    try:
        old = time.time() - file.stat().st_mtime > LEASE + HEARTBEAT
        if not old or lease_of(file).owner is not None:
            return
        aside = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        file.rename(aside)
        if lease_of(aside).owner is not None:
            with suppress(FileExistsError):
                file.hardlink_to(aside)
        aside.unlink()
    except OSError:  # gone meanwhile, or not ours to change
        return


def holder(file: Path) -> Holder | None:
    """Who holds the lease in ``file``; None where nobody does, or its holder is gone.

    Of a holder on another host only the time of its last heartbeat is known, by that host's clock;
    where that is far ahead of ours, the next heartbeat is waited for by ours.
    """
    try:
        age = time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return None
    lease = lease_of(file)
    try:
        with lease.acquire(timeout=0.1, poll_interval=0.02):  # a dead process's lease is taken
            return None
    except (Timeout, OSError):  # OSError: records that this user may only read
        owner = lease.owner
    if age > LEASE + HEARTBEAT:
        return None
    if age < -LEASE - HEARTBEAT:  # of tomorrow: from now on it ages, unless a heartbeat comes
        with suppress(OSError):
            os.utime(file)
    if owner is None:  # as a full disk leaves it: nobody's, once it is old enough
        return Holder("an unknown host", 0) if file.is_file() else None
    return Holder(owner.hostname, owner.pid)
