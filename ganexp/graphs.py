"""Steps as CUDA graphs: what a GPU is told kernel by kernel is recorded once and then started as a whole.

Small GANs wait for launches, not for arithmetic. A step's moves - forward passes, penalties with their double
backward, optimisers, clipping - always launch the same kernels on the same memory, so they are captured, and
replayed from then on with a new batch and new random numbers. What Python decides between steps is in the key
of a graph: who moves, which penalties rest, the batch's shape. What changes from step to step is in tensors:
the batch, the learning rates, the optimisers' counters.

All moves of a step are one graph, so that a generator that takes up the critic's fakes finds them. The first
steps of a kind run as they are, and the last of these is listened to: one that waits for the device would
break the capture, and runs on as it is. Capturing executes nothing and draws no random number: the step is
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
from ganexp.games.game import Game

WARM_UP = 3
"""So many steps of a kind run before it is captured: optimisers and libraries set themselves up."""

_RUNS = "device.graphs=true, but kernels are launched one by one"


class Mover(NamedTuple):
    """A player whose turn it is, and whether the norm of its gradient is to be taken."""

    player: str
    measured: bool


Seen = list[dict[str, Tensor]]
"""What each move of a step came to: scalars to look at, on the device."""

Movers = tuple[Mover, ...]
"""Those of one step, in the order in which they move."""

Moves = Callable[[Batch], Seen]
"""The moves of one step."""


class Perform(Protocol):
    """Runs the ``moves`` of a step, which ``movers`` make, in whatever way."""

    def __call__(self, moves: Moves, movers: Movers, batch: Batch) -> Seen: ...


def directly(moves: Moves, movers: Movers, batch: Batch) -> Seen:
    """As they are."""
    return moves(batch)


class Recorder(Protocol):
    """What takes and plays the recordings: ``cuda.CudaRecorder``, or its stand-in in the tests."""

    device: torch.device

    def aside(self) -> AbstractContextManager[list[str]]:
        """Where steps run before a capture; afterwards the list says where one waited for the device."""
        ...

    def record(self, work: Callable[[], Seen]) -> tuple[Callable[[], None], Seen]:
        """What plays the work, and the tensors that it will then have filled; nothing is executed.

        Raises RuntimeError where it cannot be recorded; no earlier recording may be played after that.
        """
        ...

    def restart(self) -> None:
        """Earlier recordings will not be played any more."""
        ...


class Graph(NamedTuple):
    """A step that was captured: it reads ``batch`` and fills ``seen``."""

    batch: Batch
    replay: Callable[[], None]
    seen: Seen


class Captured:
    """Runs each kind of step as it is at first, then as a graph. What cannot be captured goes on as it was.

    The optimisers are changed: their rates become tensors, which a graph reads. What they save stays what it
    would be without graphs; where they load, every graph is dropped, for it knows the old memory.
    """

    def __init__(
        self,
        recorder: Recorder,
        game: Game,
        optimisers: Mapping[str, torch.optim.Optimizer],
        say: Callable[[str], None],
    ) -> None:
        self._recorder = recorder
        self._game = game
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

    def __call__(self, moves: Moves, movers: Movers, batch: Batch) -> Seen:
        phases = tuple(self._game.phase(mover.player) for mover in movers)
        key = (movers, phases, _form(batch))
        if self._broken or key in self._left_alone:
            return moves(batch)
        if key not in self._graphs:
            if self._warm[key] < WARM_UP:
                return self._aside(key, moves, movers, batch)
            self._capture(key, moves, movers, batch)
            if self._broken:
                return moves(batch)
        graph = self._graphs[key]
        for ours, theirs in zip(graph.batch, batch, strict=True):
            ours.copy_(theirs)
        graph.replay()
        return graph.seen

    def _aside(self, key: Hashable, moves: Moves, movers: Movers, batch: Batch) -> Seen:
        """A step before the capture; the last of them says whether there can be one."""
        with self._recorder.aside() as waits:
            seen = moves(batch)
        self._warm[key] += 1
        if self._warm[key] == WARM_UP and waits:
            if not self._left_alone:
                self._say(f"{_RUNS}: a step of {_names(movers)} waits for the device ({waits[0]})")
            self._left_alone.add(key)
        return seen

    def _capture(self, key: Hashable, moves: Moves, movers: Movers, batch: Batch) -> None:
        form = _form(batch)
        if form not in self._inputs:
            self._inputs[form] = Batch(*[part.clone() for part in batch])
        static = self._inputs[form]
        try:
            replay, seen = self._recorder.record(lambda: moves(static))
        except RuntimeError as error:
            self._broken = True
            self._graphs.clear()
            self._say(f"{_RUNS}: a step of {_names(movers)} cannot be captured ({first_line(_root(error))})")
            return
        self._graphs[key] = Graph(static, replay, seen)

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


def _names(movers: Movers) -> str:
    return ", ".join(mover.player for mover in movers)


def _form(batch: Batch) -> Hashable:
    return tuple((part.shape, part.dtype, part.stride()) for part in batch)


def _root(error: BaseException) -> BaseException:
    """The first of the errors that led to this one."""
    while error.__context__ is not None:
        error = error.__context__
    return error
