"""CUDA graphs without a GPU: what a step asks of torch is noted, operation by operation, and done again.

The notes hold the very tensors that were used, as a graph holds addresses. Doing them again runs each
operation on these tensors, and puts its result where the first one lies. Like a capture, noting leaves no
trace: weights, memories and random numbers are put back, and what came out is overwritten with nonsense
until it is played. And like a capture it fails where Python looks at a number.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganexp.training.graphed_turns import TurnLogs
from ganexp.training.state import State

_WAITING = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "masked_select", "_unique2"}

Operation = tuple[Any, tuple[Any, ...], dict[str, Any], list[Any]]


class _Notes(TorchDispatchMode):
    """Notes every operation; where one waits for the device, it says so, or fails if it is ``strict``."""

    def __init__(self, strict: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.strict = strict
        self.waits: list[str] = []
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[1]
        if name in _WAITING:
            self.waits.append(name)
            if self.strict:
                raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        found = func(*args, **(kwargs or {}))
        if func.namespace != "profiler":
            self.operations.append((func, args, kwargs or {}, tree_leaves(found)))
        return found


class EmulatedRecorder:
    """Stands in for ``cuda.CudaRecorder``. ``deaf``: it does not hear where a step waits."""

    def __init__(self, state: State, *, deaf: bool = False) -> None:
        self.device = torch.device("cpu")
        self.state = state
        self.deaf = deaf
        self.recorded = self.played = self.restarts = 0

    @contextmanager
    def warmup(self) -> Iterator[list[str]]:
        waits: list[str] = []
        with _Notes(strict=False) as notes:
            yield waits
        if not self.deaf:
            waits += notes.waits

    def record(self, work: Callable[[], TurnLogs]) -> tuple[Callable[[], None], TurnLogs]:
        kept = [(tensor, tensor.detach().clone()) for tensor in self._memory()]
        numbers = torch.get_rng_state()
        notes = _Notes(strict=True)
        try:
            with notes:
                logs = work()
            self.recorded += 1
        finally:
            torch.set_rng_state(numbers)
            with torch.no_grad():
                for tensor, content in kept:
                    tensor.copy_(content)
        for scalars in logs:
            for scalar in scalars.values():
                scalar.fill_(float("nan"))
        return lambda: self._play(notes.operations), logs

    def copy_from(self) -> None:
        self.restarts += 1

    @torch.no_grad()
    def _play(self, operations: list[Operation]) -> None:
        self.played += 1
        for func, args, kwargs, before in operations:
            returns = func._schema.returns
            for old, new in zip(before, tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, Tensor) and returns[0].alias_info is None:
                    old.copy_(new)

    def _memory(self) -> list[Tensor]:
        state = self.state
        memories = [memory for o in state.optimisers.values() for memory in o.state.values()]
        tensors = [value for memory in memories for value in memory.values() if isinstance(value, Tensor)]
        return [*state.game.parameters(), *state.game.buffers(), *tensors]
