"""Runs steps as CUDA graphs: a step's kernels are captured once and then launched together.

Small GANs are bound by kernel launches, not by arithmetic. A step's turns - forward passes, penalties with
double backward, optimisers, clipping - always launch the same kernels on the same memory, so they are captured
once and replayed with a new batch and new random numbers. What Python decides between steps is in the key of a
graph: the players that move, the active penalties, the batch's shape. What changes from step to step is in
tensors: the batch, the learning rates, the optimisers' counters.

All turns of a step are one graph, so that the generator's turn can reuse the critic's fakes. The first
``WARM_UP`` steps with a new key run eagerly. The last of them has CUDA sync warnings on: a step that
synchronises cannot be captured and stays eager. Capturing executes nothing and draws no random number, so the
captured step is then replayed like the ones that follow.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ganexp.data.batches import Batch
from ganexp.errors import first_line

WARM_UP = 3
"""Eager steps with one key before its capture: optimisers and libraries allocate their state in them."""

_NO_GRAPHS = "device.graphs=true, but kernels are launched one by one"


TurnLogs = list[dict[str, Tensor]]
"""The scalars that each turn of a step logs, on the device."""

Turns = Callable[[Batch], TurnLogs]
"""The turns of one step."""


class StepKey(NamedTuple):
    """Everything, besides the batch's shape, that decides which kernels a step launches."""

    players: tuple[str, ...]
    """The players that move, in this order."""
    plan: Hashable
    """``StepPlan.key``."""
    measured: tuple[bool, ...]
    """For each turn, whether the gradient's norm is measured."""


class StepRunner(Protocol):
    """Runs the turns of a step, eagerly or as a graph."""

    def __call__(self, turns: Turns, key: StepKey, batch: Batch) -> TurnLogs: ...


def eager(turns: Turns, key: StepKey, batch: Batch) -> TurnLogs:
    """Runs the turns without a graph."""
    return turns(batch)


class Recorder(Protocol):
    """Captures work as graphs: ``cuda_graphs.CudaRecorder``, or its fake in the tests."""

    device: torch.device

    def warmup(self) -> AbstractContextManager[list[str]]:
        """Context for the warm-up steps; on exit the list has the ``file:line`` of each synchronisation."""
        ...

    def record(self, work: Callable[[], TurnLogs]) -> tuple[Callable[[], None], TurnLogs]:
        """Captures ``work`` without executing it; returns the replay and the tensors that a replay fills.

        Raises RuntimeError where it cannot be captured; earlier graphs must not be replayed after that.
        """
        ...

    def copy_from(self) -> None:
        """Starts a new memory pool. Earlier graphs must not be replayed after this."""
        ...


class Graph(NamedTuple):
    """A captured step: ``replay`` reads ``batch`` and fills ``logs``."""

    batch: Batch
    replay: Callable[[], None]
    logs: TurnLogs


class GraphedTurns:
    """Runs each kind of step (key and batch shape) eagerly at first, then as a graph if it can be captured.

    The optimisers are changed: their learning rates become tensors, which a graph reads. Their ``state_dict``
    is the same as without graphs. ``load_state_dict`` drops all graphs, because they use the old tensors.
    """

    def __init__(
        self,
        recorder: Recorder,
        optimisers: Mapping[str, torch.optim.Optimizer],
        say: Callable[[str], None],
    ) -> None:
        self._recorder = recorder
        self._say = say
        self._warm: Counter[Hashable] = Counter()
        self._graphs: dict[Hashable, Graph] = {}
        self._static_batches: dict[Hashable, Batch] = {}
        self._eager_kinds: set[Hashable] = set()
        self._capture_failed = False
        for optimiser in optimisers.values():
            self._prepare_optimiser(optimiser)
            optimiser.register_load_state_dict_post_hook(self._prepare_optimiser)
            optimiser.register_state_dict_post_hook(_restore_settings)

    def __call__(self, turns: Turns, key: StepKey, batch: Batch) -> TurnLogs:
        kind = (key, _layout(batch))
        if self._capture_failed or kind in self._eager_kinds:
            return turns(batch)
        if kind not in self._graphs:
            if self._warm[kind] < WARM_UP:
                return self._warm_up(kind, turns, key, batch)
            self._capture(kind, turns, key, batch)
            if self._capture_failed:
                return turns(batch)
        graph = self._graphs[kind]
        for ours, theirs in zip(graph.batch, batch, strict=True):
            if ours is not None and theirs is not None:
                ours.copy_(theirs)
        graph.replay()
        return graph.logs

    def _warm_up(self, kind: Hashable, turns: Turns, key: StepKey, batch: Batch) -> TurnLogs:
        """Runs an eager step before the capture. If the last one synchronises, this kind stays eager."""
        with self._recorder.warmup() as waits:
            logs = turns(batch)
        self._warm[kind] += 1
        if self._warm[kind] == WARM_UP and waits:
            if not self._eager_kinds:
                self._say(f"{_NO_GRAPHS}: a step of {', '.join(key.players)} waits for the device ({waits[0]})")
            self._eager_kinds.add(kind)
        return logs

    def _capture(self, kind: Hashable, turns: Turns, key: StepKey, batch: Batch) -> None:
        layout = _layout(batch)
        if layout not in self._static_batches:
            self._static_batches[layout] = batch.each(torch.clone)
        static = self._static_batches[layout]
        try:
            replay, logs = self._recorder.record(lambda: turns(static))
        except RuntimeError as error:
            self._capture_failed = True
            self._graphs.clear()
            step = f"a step of {', '.join(key.players)}"
            self._say(f"{_NO_GRAPHS}: {step} cannot be captured ({first_line(_root(error))})")
            return
        self._graphs[kind] = Graph(static, replay, logs)

    def _prepare_optimiser(self, optimiser: torch.optim.Optimizer) -> None:
        """Prepares an optimiser for graphs, at the start and after each ``load_state_dict``."""
        for group in optimiser.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), dtype=torch.float32, device=self._recorder.device)
            group.update(_capture_settings(group))
        for memory in optimiser.state.values():
            if "step" in memory:
                memory["step"] = memory["step"].to(self._recorder.device)
        self._graphs.clear()
        self._recorder.copy_from()


def _capture_settings(group: Mapping[str, Any]) -> dict[str, bool]:
    """The settings that a parameter group needs for capture; SGD has none, fused ones need no foreach."""
    if "capturable" not in group:
        return {}
    return {"capturable": True} if group.get("fused") else {"capturable": True, "foreach": True}


def _restore_settings(optimiser: torch.optim.Optimizer, content: dict[str, Any]) -> None:
    """Undoes in a ``state_dict`` what graphs changed, so that it loads on any device."""
    for group in content["param_groups"]:
        group["lr"] = float(group["lr"])
        group.update({name: optimiser.defaults[name] for name in _capture_settings(group)})


def _layout(batch: Batch) -> Hashable:
    return tuple(None if part is None else (part.shape, part.dtype, part.stride()) for part in batch)


def _root(error: BaseException) -> BaseException:
    """The first exception of the chain that led to this one."""
    while error.__context__ is not None:
        error = error.__context__
    return error
