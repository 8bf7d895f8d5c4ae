"""Two CUDA devices to test against, without a GPU; for a process of their own.

A tensor "on" ``cuda:0`` holds a CPU tensor, and every operation on it is first judged as CUDA would
judge it, then computed by the CPU:

- tensors of different devices in one operation raise, as numpy() on a GPU's tensor does;
- a captured graph is a tape on fixed memory that has no effect before it is replayed; it sees the
  operations of its stream's device, and waiting or copying to the host within it raises;
- waits of the host and copies between devices are counted, with the line that caused them;
- launches are counted: one for every operation that is no view and no mere allocation, and one for
  the replay of a graph, whatever it holds. (CUDA may take several kernels for an operation.)

Nothing is said of speed, memory, streams, CUDA's rounding or kernels that CUDA lacks. It leans on
private names of torch; ``missing`` lists those that this version does not have.
"""

from __future__ import annotations

import collections
import contextlib
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

DEVICES = 2
READ_BACK = {  # their CUDA kernels give the host something, so that it waits
    "_local_scalar_dense", "equal", "nonzero", "masked_select", "_unique2", "unique_dim",
    "unique_consecutive", "bincount", "_linalg_check_errors", "_linalg_eigh", "is_nonzero",
}  # fmt: skip
ALLOCATE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
TAKE_CPU_SCALARS = {"fill_", "masked_fill", "masked_fill_", "where", *INDEXED}

current = 0  # CUDA's current device
tape: Tape | None = None  # of the capture that is under way
counted: collections.Counter[str] = collections.Counter()  # "wait ..." and "copy ..." by place
graphs = {"captured": 0, "replayed": 0}
launches = 0


class CudaError(RuntimeError):
    """What CUDA refuses."""


def missing() -> list[str]:
    """Private names of torch that are needed here and not there."""
    needed = [
        (torch.Tensor, "_make_wrapper_subclass"), (torch._C._nn, "_parse_to"),
        (torch, "_has_compatible_shallow_copy_type"), (torch._C, "_DisableTorchDispatch"),
        (torch._C, "DisableTorchFunctionSubclass"),
    ]  # fmt: skip
    return [name for owner, name in needed if not hasattr(owner, name)]


def note(what: str) -> None:
    """The host waits for the GPU here, or copies to or from it."""
    if tape is not None:
        raise CudaError(f"operation not permitted when stream is capturing: {what}")
    frame = sys._getframe(1)
    while frame is not None and "/ltvm/" not in frame.f_code.co_filename:
        frame = frame.f_back  # type: ignore[assignment]
    where = "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
    counted[f"{what} {where.rpartition('/ltvm/')[2]}"] += 1


def launched(name: str) -> None:
    """An operation of this name went to the GPU by itself, unless a graph is being captured."""
    global launches
    launches += tape is None and name not in ALLOCATE


class OnCuda(torch.Tensor):
    """A tensor on ``cuda:<index>``; to torch's C++ one on the CPU, without memory of its own."""

    held: torch.Tensor
    index: int

    @staticmethod
    def __new__(cls, held: torch.Tensor, index: int) -> OnCuda:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, device=held.device,
        )  # fmt: skip
        made.held, made.index = held, index
        return made

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return called(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})

    def __deepcopy__(self, memo):
        made = OnCuda(self.held.clone(), self.index).requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            made._is_param = True
        return memo.setdefault(id(self), made)

    def __reduce_ex__(self, protocol):
        note("copy to a file")
        return self.held.__reduce_ex__(protocol)  # a file's tensors go where ``load`` sends them

    def __repr__(self):
        return f"OnCuda({self.held!r}, {self.index})"


def tree_map(function, tree):
    """``function`` of every leaf of nested lists, tuples and dicts; torch's is slow at it."""
    if isinstance(tree, (list, tuple)):
        return type(tree)([tree_map(function, x) for x in tree])
    if isinstance(tree, dict):
        return {key: tree_map(function, x) for key, x in tree.items()}
    return function(tree)


def tree_leaves(tree) -> list[Any]:
    leaves: list[Any] = []
    tree_map(leaves.append, tree)
    return leaves


def place(x: torch.Tensor) -> int | None:
    return x.index if isinstance(x, OnCuda) else None


def index_of(device: Any) -> int | None:
    """The CUDA device that is meant; None: the CPU."""
    device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    if device.type != "cuda":
        return None
    index = current if device.index is None else device.index
    if index >= DEVICES:
        raise CudaError("invalid device ordinal")
    return index


def moved(x: torch.Tensor, goal: int | None) -> torch.Tensor:
    note(f"copy from {place(x)} to {goal}")
    assert not (x.requires_grad and torch.is_grad_enabled()), "gradients through a copy"
    with torch._C._DisableTorchDispatch(), torch.no_grad():
        copy = (x.held if isinstance(x, OnCuda) else x).detach().clone()
    return copy if goal is None else OnCuda(copy, goal)


# Level one: what Python calls, where devices are named and asked for.

ANSWERS = {
    torch.Tensor.device.__get__: lambda x: torch.device("cuda", x.index),
    torch.Tensor.is_cuda.__get__: lambda _: True,
    torch.Tensor.is_cpu.__get__: lambda _: False,
    torch.Tensor.tolist: lambda x: moved(x, None).tolist(),
}


def called(func, args, kwargs):
    first = args[0] if args else None
    if isinstance(first, OnCuda):
        if func in ANSWERS:
            return ANSWERS[func](first)
        if func in (torch.Tensor.numpy, torch.Tensor.__array__):
            raise TypeError("can't convert cuda device type tensor to numpy")
    if func in (torch.Tensor.cpu, torch.Tensor.cuda):
        args, func = (first, "cpu" if func is torch.Tensor.cpu else "cuda"), torch.Tensor.to
    if func is torch.Tensor.to:
        return sent(first, args[1:], dict(kwargs))
    if kwargs.get("device") is not None:
        return made(func, args, kwargs)
    with torch._C.DisableTorchFunctionSubclass():
        out = func(*args, **kwargs)
    if func == torch.Tensor.data.__set__ and isinstance(first, OnCuda):
        first.held = args[1].held
    return out


def sent(x, args, kwargs):
    """``x.to(...)``"""
    copy = kwargs.pop("copy", False)
    if args and isinstance(args[0], torch.Tensor):
        args = (args[0].device, args[0].dtype, *args[1:])
    device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
    there = device is None or index_of(device) == place(x)
    found = x if there else moved(x, index_of(device))
    options = {} if layout is None else {"memory_format": layout}
    with torch._C.DisableTorchFunctionSubclass():
        return found.to(dtype=dtype or x.dtype, copy=copy and there, **options)


def made(func, args, kwargs):
    """A factory that names a device."""
    goal = index_of(kwargs["device"])
    if goal is not None and kwargs.get("generator") is not None:
        raise CudaError("Expected a 'cuda' device type for generator but found 'cpu'")
    with torch._C.DisableTorchFunctionSubclass():
        out = func(*args, **{**kwargs, "device": torch.device("cpu")})
    if place(out) == goal:
        return out
    if func in (torch.tensor, torch.as_tensor) or isinstance(out, OnCuda):
        return moved(out, goal)
    if tape is not None and tape.index == goal:
        tape.record(out.copy_, (out.clone(),), {}, [])
        tape.own(out)
    launched(func.__name__)
    return OnCuda(out, goal)


class Everywhere(TorchFunctionMode):
    """Sees calls whose tensors are all on the CPU, too."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return called(func, args, kwargs or {})


# Level two: operations, below autograd.


def computed(func, args, kwargs):
    name = func._schema.name.rpartition("::")[2]
    leaves = tree_leaves((args, kwargs))
    here = [x for x in leaves if isinstance(x, OnCuda)]
    if not here:
        return func(*args, **kwargs)
    if "mkldnn" in func._schema.name:
        raise CudaError(f"{func}: no CUDA kernel")
    index = here[0].index
    to_host = False
    if name in ("copy_", "copy"):
        to_host = not isinstance(args[0], OnCuda)
        if place(args[0]) != place(args[1]):
            note(f"copy from {place(args[1])} to {place(args[0])}")
    else:
        judge(func, name, args, leaves, index)
    if name in READ_BACK:
        note(f"wait for {name}")

    def inner(x):
        return x.held if isinstance(x, OnCuda) else x

    inner_args, inner_kwargs = tree_map(inner, args), tree_map(inner, kwargs)
    taping = tape if tape is not None and tape.index == index else None
    if taping is not None:
        taping.before(func, inner_args, inner_kwargs)
    out = func(*inner_args, **inner_kwargs)
    if not only_a_view(func):
        if taping is not None:
            taping.record(func, inner_args, inner_kwargs, tree_leaves(out))
        launched(name)
    known = {id(x.held): x for x in here}

    def outer(x):
        if not isinstance(x, torch.Tensor):
            return x
        return known[id(x)] if id(x) in known else OnCuda(x, index)

    return args[0] if to_host else tree_map(outer, out)


def judge(func, name, args, leaves, index) -> None:
    """Raise where CUDA would, since tensors are not on one device."""
    tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
    plain = [x for x in tensors if not isinstance(x, OnCuda)]
    if any(isinstance(x, torch.Generator) for x in leaves):
        raise CudaError("Expected a 'cuda' device type for generator but found 'cpu'")
    if name in INDEXED and isinstance(args[0], OnCuda):
        for chosen in (x for x in args[1] if x is not None):
            if chosen.dtype == torch.bool:
                note("wait for a mask")
            elif not isinstance(chosen, OnCuda):
                note("copy of an index")
        plain = [x for x in plain if all(x is not chosen for chosen in args[1])]
    scalars = torch.Tag.pointwise in func.tags or name in TAKE_CPU_SCALARS
    others = {x.index for x in tensors if isinstance(x, OnCuda)} - {index}
    written = any(x is args[0] for x in plain) and 0 in writes(func)
    if others or written or any(x.dim() or not scalars for x in plain):
        found = ", ".join(f"{place(x)} {tuple(x.shape)}" for x in tensors)
        raise CudaError(f"{name}: Expected all tensors to be on the same device, found {found}")


def writes(func) -> list[int]:
    """Which arguments an operation changes; of batch norm the running statistics, too."""
    if func._schema.name == "aten::native_batch_norm":
        return [3, 4]
    arguments = enumerate(func._schema.arguments)
    return [i for i, a in arguments if a.alias_info is not None and a.alias_info.is_write]


def only_a_view(func) -> bool:
    aliases = [r.alias_info for r in func._schema.returns]
    return bool(aliases) and all(a is not None and not a.is_write for a in aliases)


class Tape:
    """What a capture records, for one device."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.steps: list[tuple[Any, ...]] = []
        self.own_memory: dict[int, torch.Tensor] = {}
        self.outside: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def own(self, x: torch.Tensor) -> None:
        self.own_memory[x.untyped_storage().data_ptr()] = x

    def before(self, func, args, kwargs) -> None:
        """Keep what an operation is about to change outside the graph's own memory."""
        named = [a.name for a in func._schema.arguments]
        for i in writes(func):
            for x in tree_leaves(args[i] if i < len(args) else kwargs.get(named[i])):
                key = x.untyped_storage().data_ptr() if isinstance(x, torch.Tensor) else None
                if key is not None and key not in self.own_memory and key not in self.outside:
                    whole = torch.empty(0, dtype=torch.uint8).set_(x.untyped_storage())
                    self.outside[key] = (whole, whole.clone())

    def record(self, run, args, kwargs, outs) -> None:
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        shared = {x.untyped_storage().data_ptr() for x in given}
        outs = [x for x in outs if isinstance(x, torch.Tensor)]
        for x in outs:
            if x.numel() and x.untyped_storage().data_ptr() not in shared:
                self.own(x)
        self.steps.append((run, args, kwargs, outs))

    def finish(self) -> None:
        """Nothing that was captured has happened."""
        for x in self.own_memory.values():
            x.fill_(float("nan") if x.is_floating_point() else 0)
        for whole, before in self.outside.values():
            whole.copy_(before)

    def replay(self) -> None:
        for run, args, kwargs, outs in self.steps:
            found = run(*args, **kwargs)
            if outs:
                new = [x for x in tree_leaves(found) if isinstance(x, torch.Tensor)]
                for held, value in zip(outs, new, strict=True):
                    held.copy_(value)


class Graph:
    tape: Tape | None = None

    def replay(self) -> None:
        assert self.tape is not None, "not captured"
        graphs["replayed"] += 1
        launched("replay")
        with torch._C._DisableTorchDispatch(), torch.no_grad():
            self.tape.replay()


class Stream:
    default: Stream | None = None  # for captures, of the device that is current at the first one

    def __init__(self) -> None:
        self.index = current

    def wait_stream(self, other: Stream) -> None:
        """Everything happens at once."""

    def is_capturing(self) -> bool:
        return tape is not None


@contextlib.contextmanager
def capture(graph: Graph, pool: Any = None, stream: Stream | None = None):
    global tape
    note("wait before a capture")
    if stream is None:
        stream = Stream.default = Stream.default or Stream()
    tape = Tape(stream.index)
    try:
        yield
        recorded = tape
    finally:
        tape = None
    with torch._C._DisableTorchDispatch(), torch.no_grad():
        recorded.finish()
    if not recorded.steps:
        warnings.warn("The CUDA Graph is empty.", stacklevel=3)
    graph.tape = recorded
    graphs["captured"] += 1


@contextlib.contextmanager
def as_current(device: Any):
    global current
    before, current = current, index_of(device)
    try:
        yield
    finally:
        current = before


def install() -> None:
    """Pretend from now on, in this thread."""
    import torch._dynamo  # loaded late by optimisers, it would compare signatures with a fake's

    main, real_load, real_autocast = Stream(), torch.load, torch.autocast
    fakes = {
        "_lazy_init": lambda: None, "is_available": lambda: True, "is_initialized": lambda: True,
        "device_count": lambda: DEVICES, "current_device": lambda: current, "device": as_current,
        "get_device_name": lambda _=None: "Simulated GPU",
        "get_device_properties": lambda _: SimpleNamespace(total_memory=2**34),
        "get_device_capability": lambda _=None: (9, 0),
        "synchronize": lambda _=None: note("wait: synchronize"),
        "max_memory_allocated": lambda _=None: 0, "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda _=None: None, "graph_pool_handle": lambda: (0, 1),
        "is_current_stream_capturing": lambda: tape is not None,  # asked by torch 2.6
        "current_stream": lambda _=None: main, "Stream": Stream, "CUDAGraph": Graph,
        "stream": lambda _: contextlib.nullcontext(), "graph": capture,
    }  # fmt: skip
    for name, fake in fakes.items():
        setattr(torch.cuda, name, fake)
    torch.accelerator.current_stream = lambda _=None: main
    compatible = torch._has_compatible_shallow_copy_type
    torch._has_compatible_shallow_copy_type = lambda a, b: (
        isinstance(a, OnCuda) == isinstance(b, OnCuda) and compatible(a, b)
    )

    def load(file, map_location, **options):
        goal, found = index_of(map_location), real_load(file, map_location="cpu", **options)
        sent = lambda x: OnCuda(x, goal) if isinstance(x, torch.Tensor) else x  # noqa: E731
        return found if goal is None else tree_map(sent, found)

    class Autocast(real_autocast):
        """With the CPU's lists of operations."""

        def __init__(self, device_type, *args, **options):
            super().__init__("cpu" if device_type == "cuda" else device_type, *args, **options)

    torch.load, torch.autocast = load, Autocast
    Everywhere().__enter__()
