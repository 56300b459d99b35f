"""Steps as CUDA graphs: what a GPU is told kernel by kernel is recorded once and then started as a whole.

Small GANs wait for launches, not for arithmetic. A step's turns - forward passes, penalties with their double
backward, optimisers, clipping - always launch the same kernels on the same memory, so they are captured, and
replayed from then on with a new batch and new random numbers. What Python decides between steps is in the key
of a graph: who moves, which penalties act, the batch's shape. What changes from step to step is in tensors:
the batch, the learning rates, the optimisers' counters.

All turns of a step are one graph, so that a generator that takes up the critic's fakes finds them. The first
steps of a kind run as they are; the third of these has CUDA's sync warnings on, and a step that synchronises
cannot be captured and stays eager. Capturing executes nothing and draws no random number: the step is
then replayed like the ones that follow.
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
"""So many steps of a kind run before it is captured: optimisers and libraries set themselves up."""

_RUNS = "device.graphs=true, but kernels are launched one by one"


TurnLogs = list[dict[str, Tensor]]
"""What each turn of a step came to: scalars to look at, on the device."""

Turns = Callable[[Batch], TurnLogs]
"""The turns of one step."""


class StepKey(NamedTuple):
    """What decides which kernels a step launches."""

    players: tuple[str, ...]
    """Who moves, in this order."""
    plan: Hashable
    """``StepPlan.key``."""
    measured: tuple[bool, ...]
    """In whose turn the gradient's norm is taken."""


class StepRunner(Protocol):
    """Runs the turns of a step, in whatever way."""

    def __call__(self, turns: Turns, key: StepKey, batch: Batch) -> TurnLogs: ...


def eager(turns: Turns, key: StepKey, batch: Batch) -> TurnLogs:
    """As they are."""
    return turns(batch)


class Recorder(Protocol):
    """What takes and plays the recordings: ``cuda.CudaRecorder``, or its stand-in in the tests."""

    device: torch.device

    def warmup(self) -> AbstractContextManager[list[str]]:
        """Where steps run before a capture; afterwards the list says where one waited for the device."""
        ...

    def record(self, work: Callable[[], TurnLogs]) -> tuple[Callable[[], None], TurnLogs]:
        """What plays the work, and the tensors that it will then have filled; nothing is executed.

        Raises RuntimeError where it cannot be recorded; no earlier recording may be played after that.
        """
        ...

    def restart(self) -> None:
        """Earlier recordings will not be played any more."""
        ...


class Graph(NamedTuple):
    """A step that was captured: it reads ``batch`` and fills ``logs``."""

    batch: Batch
    replay: Callable[[], None]
    logs: TurnLogs


class GraphedTurns:
    """Runs each kind of step as it is at first, then as a graph. What cannot be captured goes on as it was.

    The optimisers are changed: their rates become tensors, which a graph reads. What they save stays what it
    would be without graphs; where they load, every graph is dropped, for it knows the old memory.
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
        self._inputs: dict[Hashable, Batch] = {}
        self._left_alone: set[Hashable] = set()
        self._broken = False
        for optimiser in optimisers.values():
            self._loaded(optimiser)
            optimiser.register_load_state_dict_post_hook(self._loaded)
            optimiser.register_state_dict_post_hook(_plain)

    def __call__(self, turns: Turns, key: StepKey, batch: Batch) -> TurnLogs:
        kind = (key, _form(batch))
        if self._broken or kind in self._left_alone:
            return turns(batch)
        if kind not in self._graphs:
            if self._warm[kind] < WARM_UP:
                return self._warm_up(kind, turns, key, batch)
            self._capture(kind, turns, key, batch)
            if self._broken:
                return turns(batch)
        graph = self._graphs[kind]
        for ours, theirs in zip(graph.batch, batch, strict=True):
            if ours is not None and theirs is not None:
                ours.copy_(theirs)
        graph.replay()
        return graph.logs

    def _warm_up(self, kind: Hashable, turns: Turns, key: StepKey, batch: Batch) -> TurnLogs:
        """A step before the capture. The last one has sync warnings on: a step that synchronises stays
        eager.
        """
        with self._recorder.warmup() as waits:
            logs = turns(batch)
        self._warm[kind] += 1
        if self._warm[kind] == WARM_UP and waits:
            if not self._left_alone:
                self._say(f"{_RUNS}: a step of {', '.join(key.players)} waits for the device ({waits[0]})")
            self._left_alone.add(kind)
        return logs

    def _capture(self, kind: Hashable, turns: Turns, key: StepKey, batch: Batch) -> None:
        form = _form(batch)
        if form not in self._inputs:
            self._inputs[form] = batch.each(torch.clone)
        static = self._inputs[form]
        try:
            replay, logs = self._recorder.record(lambda: turns(static))
        except RuntimeError as error:
            self._broken = True
            self._graphs.clear()
            step = f"a step of {', '.join(key.players)}"
            self._say(f"{_RUNS}: {step} cannot be captured ({first_line(_root(error))})")
            return
        self._graphs[kind] = Graph(static, replay, logs)

    def _loaded(self, optimiser: torch.optim.Optimizer) -> None:
        """Readies an optimiser for graphs, at first and whenever it has loaded other memory."""
        for group in optimiser.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), dtype=torch.float32, device=self._recorder.device)
            group.update(_switches(group))
        for memory in optimiser.state.values():
            if "step" in memory:
                memory["step"] = memory["step"].to(self._recorder.device)
        self._graphs.clear()
        self._recorder.restart()


def _switches(group: Mapping[str, Any]) -> dict[str, bool]:
    """What an optimiser's group has to be told; SGD knows of none, and fused ones need no foreach."""
    if "capturable" not in group:
        return {}
    return {"capturable": True} if group.get("fused") else {"capturable": True, "foreach": True}


def _plain(optimiser: torch.optim.Optimizer, content: dict[str, Any]) -> None:
    """What is saved knows nothing of graphs: it loads on any device."""
    for group in content["param_groups"]:
        group["lr"] = float(group["lr"])
        group.update({name: optimiser.defaults[name] for name in _switches(group)})


def _form(batch: Batch) -> Hashable:
    return tuple(None if part is None else (part.shape, part.dtype, part.stride()) for part in batch)


def _root(error: BaseException) -> BaseException:
    """The first of the errors that led to this one."""
    while error.__context__ is not None:
        error = error.__context__
    return error
