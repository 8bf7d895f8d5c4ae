"""Cases about what CUDA graphs hold: the noise of chains, their starts, decoder updates."""

from __future__ import annotations

import io
from unittest import mock

import device
import pytest
import torch
from cases import LOUD, case, method_on, outcome, same, trained_on, wrong

from ltvm.chain.static_chain import StaticChain
from ltvm.chain.static_start import StaticStart
from ltvm.methods import abp
from ltvm.methods.budget import Visit
from ltvm.methods.static_update import StaticUpdate, StaticUpdates
from ltvm.runtime.cuda_graph import Replayed
from ltvm.runtime.randomness import ImageNoise


@case
def launches_of_a_visit() -> None:
    """Of 12 images, two steps and one update; docs/performance.md has what this prints."""
    for name in ("abp", "short_run"):
        for precision in ("float32", "bfloat16"):
            found = []
            for graph in (False, True):
                method = method_on("cuda:1", name, graph, f"precision={precision}")
                images = torch.arange(12).to(method.problem.device)
                for sweep in range(3):  # as it stands, recorded, replayed
                    device.launches = 0
                    method.visit(Visit(images, sweep, False, images))
                found.append(device.launches)
            print(f"{name}, {precision}: {found[0]} launches, with graphs {found[1]}")
            assert found[0] > 10 * found[1], found
            assert found[1] <= 25, found


@case
def chains_starts_and_updates_are_graphs_of_one_memory() -> None:
    captured = mock.Mock(side_effect=device.capture)
    pools = mock.patch.object(torch.cuda, "graph_pool_handle", side_effect=range(9))
    with mock.patch.object(torch.cuda, "graph", captured), pools:
        method = method_on("cuda:0", "short_run", True)
        method.fit_iteration()
    owners = (method.engine.graphs, method.engine.starts, method.updates)
    assert [len(owner.held) for owner in owners] == [1, 1, 1]
    assert [call.kwargs["pool"] for call in captured.call_args_list] == [0, 0, 0]


def learned(method) -> list:
    """All that an update changes: weights, running statistics, Adam's state, counts."""
    state = {name: value for name, value in method.state_dict().items() if name != "codes"}
    leaves = device.tree_leaves(state)
    return [x.cpu().tolist() if isinstance(x, torch.Tensor) else x for x in leaves]


@case
def a_recorded_update_changes_what_an_update_does_and_nothing_else() -> None:
    methods = [method_on("cpu", "abp"), method_on("cuda:1", "abp", True)]
    for turn in range(3):  # as it stands, recorded, replayed
        losses = []
        for method in methods:
            images = method.problem.images.scaled(slice(turn, turn + 12))
            losses.append(float(method.update_decoder(images, method.codes[turn : turn + 12])))
        assert losses[0] == losses[1], turn
        assert learned(methods[0]) == learned(methods[1]), turn
        assert methods[1].decoder_updates == turn + 1
    assert len(methods[1].updates.held) == 1
    assert not any(group["capturable"] for group in methods[1].optimizer.param_groups)
    assert all(p.grad is None for p in methods[1].decoder.parameters())


@case
def a_step_of_another_size_is_another_graph_and_none_where_no_size_comes_back() -> None:
    methods = [method_on("cpu", "abp"), method_on("cuda:1", "abp", True)]
    for rates, recorded in (((1e-3, 1e-3, 1e-2, 1e-2), 2), ((1e-4, 2e-4, 3e-4, 4e-4), 0)):
        captured = device.graphs["captured"]
        for rate in rates:
            for method in methods:
                method.optimizer.param_groups[0]["lr"] = rate
                method.update_decoder(method.problem.images.scaled(), method.codes)
            assert learned(methods[0]) == learned(methods[1]), rate
        assert device.graphs["captured"] - captured == recorded


@case
def checkpoints_with_and_without_graphs_are_the_same() -> None:
    """What was begun with one goes on with the other, where graphs were recorded before, too."""
    expected = trained_on("cpu", "abp")
    for here, graph in (("cpu", False), ("cuda:0", True)):
        begun = method_on(here, "abp", graph)
        begun.fit_iteration()
        file = io.BytesIO()
        torch.save(begun.state_dict(), file)
        for there, with_graphs in (("cpu", False), ("cuda:1", False), ("cuda:1", True)):
            method = method_on(there, "abp", with_graphs)
            for _ in range(2):
                method.update_decoder(method.problem.images.scaled(slice(12)), method.codes[12:])
            file.seek(0)
            method.load_state_dict(torch.load(file, map_location=there, weights_only=True))
            method.fit_iteration()
            assert same(expected, outcome(method, there)), (here, graph, there, with_graphs)


@case
def some_updates_are_no_graph() -> None:
    method = method_on("cuda:1", "abp", True)
    images, codes = method.problem.images.scaled(), method.codes.clone().requires_grad_(True)
    method.update_decoder(images, codes)
    assert codes.grad is not None
    method.optimizer = torch.optim.SGD(method.decoder.parameters(), lr=1e-6)
    method.update_decoder(images, method.codes)
    assert not method.updates.held

    def doubled(self, loss, n):
        return step(self, 2 * loss, n)

    step = abp.AlternatingBackPropagation.step_optimizer
    own = mock.patch.object(abp.AlternatingBackPropagation, "step_optimizer", doubled)
    with own:
        expected, method = trained_on("cpu", "abp"), method_on("cuda:1", "abp", True)
        assert same(expected, trained_on("cuda:1", "abp", True))
    assert not method.updates.wanted
    assert method.engine.graphs.wanted


# Bugs, to see that they would be seen.


def visited(where: str, name: str = "abp", graph: bool = False) -> list[torch.Tensor]:
    """Codes, weights and running statistics after two batches."""
    method = method_on(where, name, graph)
    for sweep, batch in enumerate(method.batches(0)):
        method.visit(Visit(batch, sweep, False, batch))
    return [x.cpu() for x in (method.codes, *method.decoder.state_dict().values())]


def first_given(owner: type, at: int):
    """Of its fixed inputs, the one ``at`` stays as it was given first: what a graph holds on to."""
    called = owner.__call__

    def stale(self, *given):
        self.first = getattr(self, "first", given[at])
        return called(self, *given[:at], self.first, *given[at + 1 :])

    return mock.patch.object(owner, "__call__", stale)


@case
def inputs_that_are_not_brought_up_to_date_are_seen() -> None:
    expected = visited("cpu", "abp")
    assert same(expected, visited("cuda:1", "abp", True))
    for at, what in enumerate(("images", "state", "noise")):
        wrong(f"first {what} of a chain", expected, first_given(StaticChain, at), do=visited)
    for at, what in enumerate(("images", "codes")):
        wrong(f"first {what} of an update", expected, first_given(StaticUpdate, at), do=visited)
    called = StaticChain.__call__

    def old(part):
        def stale(self, images, state, noise, constants):
            self.first = getattr(self, "first", noise)
            mixed = {"key": noise.key, "images": noise.images, part: getattr(self.first, part)}
            return called(self, images, state, ImageNoise(**mixed), constants)

        return mock.patch.object(StaticChain, "__call__", stale)

    for part in ("key", "images"):
        wrong(f"the noise's first {part}", expected, old(part), do=visited)
    expected = visited("cpu", "short_run")
    assert same(expected, visited("cuda:1", "short_run", True))
    for at, what in enumerate(("key", "images")):
        bug = first_given(StaticStart, at)
        wrong(f"first {what} of a start", expected, bug, name="short_run", do=visited)


@case
def a_warm_up_that_leaves_a_trace_is_seen() -> None:
    expected, record = visited("cpu", "abp"), StaticUpdate.record

    def once_more(restored):
        """A warm-up beside the first update, after which some of what it changed is restored."""

        def warmed(self):
            held = restored(self.optimizer)
            before = [x.detach().clone() for x in held]
            self.run()
            with torch.no_grad():
                for x, value in zip(held, before, strict=True):
                    x.copy_(value)
            return record(self)

        return mock.patch.object(StaticUpdate, "record", warmed)

    def weights(optimizer):
        return [p for group in optimizer.param_groups for p in group["params"]]

    def state(optimizer, *names):
        return [values[name] for values in optimizer.state.values() for name in names]

    moments = ("exp_avg", "exp_avg_sq")
    for what, restored in {
        "weights": lambda adam: state(adam, "step", *moments),
        "Adam's step": lambda adam: [*weights(adam), *state(adam, *moments)],
        "running statistics": lambda adam: [*weights(adam), *state(adam, "step", *moments)],
    }.items():
        wrong(what, expected, once_more(restored), do=visited)


@case
def graphs_on_a_state_that_is_no_longer_in_use_are_seen() -> None:
    forgetful = mock.patch.object(StaticUpdates, "forget")
    with forgetful, pytest.raises(AssertionError):
        checkpoints_with_and_without_graphs_are_the_same()


@case
def the_streams_of_torch_itself_would_record_nothing_on_a_second_device() -> None:
    def without(graph, pool, stream):
        return device.capture(graph, pool)

    own = mock.patch.object(torch.cuda, "graph", without)
    with own, LOUD:
        visited("cuda:0", "abp", True)
        with pytest.raises(RuntimeError, match="Graph is empty"):
            visited("cuda:1", "abp", True)


@case
def an_optimiser_that_may_not_be_captured_is_refused() -> None:
    """By torch itself, which is why a recording says that it may."""
    plain = mock.patch.object(StaticUpdate, "record", Replayed.record)
    with plain, LOUD, pytest.raises(RuntimeError, match="capturable is False"):
        trained_on("cuda:1", "abp", True)
