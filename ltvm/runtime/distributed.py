"""One run on several processes: all that they say to each other.

torchrun starts them, one per GPU. Images, codes, weights, optimiser, counts and random streams are
the same on all; each works on its own share of every batch, and the first alone evaluates and
writes. Two groups talk: tensors of training go by NCCL between GPUs, by Gloo between CPUs; all else
goes by Gloo between the hosts, where waiting for the first process may take as long as it takes.

A process that has no others is a world of one, which does nothing.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ltvm.errors import DivergedError, InputError, require
from ltvm.runtime.processes import (
    end_undisturbed,
    local_processes,
    local_rank,
    processes,
    rank,
)

T = TypeVar("T")
PATIENCE = timedelta(days=365)  # with a first process that evaluates, writes or solves
# In which the first process records an error, before the others go.
LAST_WORDS = timedelta(seconds=5)
MOMENT = 0.2  # seconds
KINDS: dict[str, type[BaseException]] = {
    kind.__name__: kind for kind in (InputError, DivergedError, KeyboardInterrupt)
}


class World:
    """The processes of a run, seen by one of them; every method is called by all of them together.

    Of several, torch's default group talks of tensors, and ``patient`` is the group of the hosts,
    which nobody else may keep (see ``_part``); ``store`` has words that outlive a process.
    """

    def __init__(
        self, rank: int = 0, size: int = 1, store: Any = None, patient: Any = None
    ) -> None:
        self.rank, self.size, self._store, self._patient = rank, size, store, patient
        self._handlers: dict[int, Any] = {}  # of signals, while the process ends

    def __deepcopy__(self, memo: dict[int, Any]) -> World:
        return self

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    # Batches

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch; no part is longer than another by more than one."""
        return batch if self.size == 1 else batch.tensor_split(self.size)[self.rank]

    def gather(self, part: Tensor, n: int) -> Tensor:
        """The whole [n, ...], of which every process has its ``share``."""
        if self.size == 1:
            return part
        whole, longer = divmod(n, self.size)
        largest = whole + (longer > 0)
        own = part.new_zeros(largest, *part.shape[1:])
        own[: len(part)] = part
        parts = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(parts, own)
        return torch.cat([p[: whole + (at < longer)] for at, p in enumerate(parts)])

    def counts(self, n: int) -> list[int]:
        """Every process's ``n``, in order."""
        if self.size == 1:
            return [n]
        found: list[int | None] = [None] * self.size
        dist.all_gather_object(found, n, group=self._patient)
        return [count for count in found if count is not None]

    # Sums

    def add(self, tensor: Tensor) -> None:
        """The sum over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def average(self, sums: Sequence[Tensor], n: int) -> None:
        """Sums over this process's ``n`` images become means over those of all, in place.

        By one exchange; of several processes only.
        """
        count = torch.full((1,), n, dtype=sums[0].dtype, device=sums[0].device)
        flat = torch.cat([*(one.reshape(-1) for one in sums), count])
        dist.all_reduce(flat)
        flat /= flat[-1].clone()
        for one, mean in zip(sums, flat.split([*(one.numel() for one in sums), 1]), strict=False):
            one.copy_(mean.view(one.shape))

    def backward(self, loss: Tensor, n: int, optimizer: torch.optim.Optimizer) -> Tensor:
        """Gradients of ``loss``, the mean over this process's ``n`` images; returns that mean.

        Of several processes: gradients and the mean over the images of all. What is differentiated
        is the sum, since layers that share their statistics send gradients between processes.
        """
        if self.size == 1:
            loss.backward()
            return loss.detach()
        total = loss * n
        total.backward()
        total = total.detach()
        learned = [p for group in optimizer.param_groups for p in group["params"]]
        self.average([total, *(p.grad for p in learned if p.grad is not None)], n)
        return total

    # The first process

    def first(self, work: Callable[[], T]) -> T:
        """What ``work`` gives on the first process, which alone does it; the others wait."""
        if self.size == 1:
            return work()
        return self.broadcast(work() if self.is_first else None)  # type: ignore[return-value]

    def broadcast(self, value: T) -> T:
        """The first process's value, which holds no tensor on a GPU."""
        if self.size == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0, group=self._patient)
        return held[0]

    def from_first(self, tensor: Tensor) -> Tensor:
        """The first process's tensor; all have one of this shape."""
        if self.size == 1:
            return tensor
        held = tensor.contiguous() if self.is_first else torch.empty_like(tensor.contiguous())
        dist.broadcast(held, src=0)
        return held

    def copied(self, state: Any, device: torch.device) -> Any:
        """The first process's state, its tensors on every process's own device."""
        if self.size == 1:
            return state
        buffer = io.BytesIO()
        if self.is_first:
            torch.save(state, buffer)
        content = self.broadcast(buffer.getvalue())
        if self.is_first:
            return state
        return torch.load(io.BytesIO(content), map_location=device, weights_only=True)

    # Agreement

    def check_alike(self, tensors: Mapping[str, Tensor]) -> None:
        """Raise ``RuntimeError`` unless these are the same everywhere, up to rounding."""
        if self.size == 1:
            return
        sums = [
            (t.detach().double().sum(), t.detach().double().abs().sum()) for t in tensors.values()
        ]
        own = torch.stack([torch.stack(pair) for pair in sums]).cpu()  # [tensors, 2]
        parts = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(parts, own, group=self._patient)
        for at, name in enumerate(tensors):
            slack = 1e-5 * parts[0][at, 1].abs() + 1e-9
            if any(((part[at] - parts[0][at]).abs() > slack).any() for part in parts):
                raise RuntimeError(
                    f"{name} differ between the processes: a method works on its visit's images, "
                    "gathers what it finds and learns by step_optimizer (docs/scale.md)"
                )

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What the first process to fail raises within, all raise: its kind and its words."""
        if self.size == 1:
            yield
            return
        try:
            yield
        except BaseException as error:
            agreed = self._agreed(error)
            agreed.add_note("raised in all processes")
            if agreed is error:
                raise
            raise agreed from error

    def _agreed(self, error: BaseException) -> BaseException:
        """The error that came first, whose words are left for the others before they are woken."""
        assert self._store is not None
        self._handlers = self._handlers or end_undisturbed()
        kinds = [name for name, kind in KINDS.items() if isinstance(error, kind)]
        words = json.dumps([self.rank, [*kinds, type(error).__name__][0], str(error)])
        with contextlib.suppress(dist.DistError):  # torchrun itself has ended
            words = self._store.compare_set("error", "", words).decode()
        at, kind, text = json.loads(words)
        self._part()
        if at == self.rank:
            return error
        return KINDS[kind](text) if kind in KINDS else RuntimeError(f"process {at}: {kind}: {text}")

    def _part(self) -> None:
        """End the conversation: whoever waits for this process is woken by an error.

        At the latest when the process has ended, and torchrun tells the others so; whoever waits
        in NCCL may have to be killed by it.
        """
        self._patient = None
        if dist.is_initialized():
            end_groups(abort=dist.get_backend() == "nccl")

    @property
    def parted(self) -> bool:
        """Whether there was an error: each process then ends by itself."""
        return self.size > 1 and self._patient is None

    def leave(self) -> None:
        """The first process has written all that it writes; the others go after it."""
        assert self._store is not None
        with contextlib.suppress(dist.DistError):  # torchrun, or the first process, was killed
            if self.is_first:
                self._store.set("ended", "")
            else:
                self._store.wait(["ended"], LAST_WORDS)
        if not self.parted:
            self._patient = None
            end_groups()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


ALONE = World()
_current = ALONE
_joined = itertools.count()  # a process may do one run after the other


def current_world() -> World:
    """The world that this process has joined; a world of one if it has joined none."""
    return _current


@contextlib.contextmanager
def joined(device: str) -> Iterator[World]:
    """Meet the other processes that torchrun started, for a run with this ``device=``.

    Errors within are those of all (see ``World.together``). Raises
    :class:`ltvm.errors.InputError` for a device that cannot be one for each.
    """
    global _current
    if processes() == 1:
        yield ALONE
        return
    from torch.distributed import PrefixStore  # type: ignore[attr-defined] # not in every build
    from torch.distributed.rendezvous import rendezvous

    backend = "nccl" if takes_own_gpu(device) else "gloo"
    store, _, _ = next(rendezvous("env://"))
    store = PrefixStore(f"ltvm/{next(_joined)}", store)
    dist.init_process_group(backend, store=store, rank=rank(), world_size=processes())
    hosts = dist.new_group(backend="gloo", timeout=PATIENCE)
    world = _current = World(rank(), processes(), store, hosts)
    del hosts
    try:
        with world.together():
            yield world
    finally:
        _current = ALONE
        world.leave()


def end_groups(abort: bool = False) -> None:
    """End torch's groups, after a moment for the threads of Gloo; ``abort``: what is under way too.

    In torch 2.6, and until pytorch #154976, a Gloo group waits for its threads while it holds the
    GIL, which a thread that has just done an exchange needs to let go of its tensors.
    """
    time.sleep(MOMENT)
    if not abort:
        dist.destroy_process_group()
        return
    with contextlib.suppress(RuntimeError):  # what is left of it ends with the process
        dist.distributed_c10d._abort_process_group()


def takes_own_gpu(device: str) -> bool:
    """Whether this is a run on GPUs; if so, this process's own is CUDA's current one from now on.

    Raises :class:`ltvm.errors.InputError` if ``device`` names one, or if there are too few.
    """
    require(
        device in ("auto", "cpu", "cuda"), "device", device,
        f"auto, cpu or cuda for {processes()} processes, which take one GPU each",
    )  # fmt: skip
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return False
    count = torch.cuda.device_count()
    require(
        local_processes() <= count, "torchrun --nproc-per-node", local_processes(),
        f"at most {count}, the CUDA devices of this machine, or device=cpu",
    )  # fmt: skip
    torch.cuda.set_device(local_rank())
    return True
