"""Checks that networks fit into memory before large tensors are allocated.

Building the networks on torch's meta device gives their exact size, but its first use takes seconds. So the
bytes that constructors allocate are counted as the networks are built; only where they might be too many is the
exact need computed on the meta device.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.overrides import TorchFunctionMode

from ganexp.config.optimisers import split_by_player
from ganexp.data.store import free_memory
from ganexp.distributed import collectives
from ganexp.errors import UserError
from ganexp.training.build import build

T = TypeVar("T")

_MAX_VALUES_PER_WEIGHT = 5
"""Numbers per weight in training: the weight, its gradient, Adam's two moments, the EMA."""

_MAKERS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}


def within_memory(make: Callable[[], T], cfg: DictConfig, device: torch.device, *, training: bool) -> T:
    """Returns ``make()``, which builds ``cfg.arch``. Raises UserError where memory does not suffice.

    ``training``: whether gradients, optimiser state and the EMA will be needed too.
    """
    free = _free(device)
    random = torch.get_rng_state()
    counted = _AllocationCounter(free / (_MAX_VALUES_PER_WEIGHT if training else 1))
    try:
        with counted:
            return make()
    except Exception:  # Hydra wraps _Exceeded in an exception of its own
        if not counted.exceeded:
            raise
    _check(cfg, free, counted.made, training=training)
    torch.set_rng_state(random)
    return make()


class _Exceeded(Exception):
    pass


class _AllocationCounter(TorchFunctionMode):
    """Counts the bytes of tensors created in this context; raises _Exceeded above ``most``."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.made = 0
        self.exceeded = False
        self._most = most

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if func in _MAKERS:
            size = given["size"] if "size" in given else args[0] if isinstance(args[0], tuple | list) else args
            dtype = given.get("dtype") or torch.get_default_dtype()
            self.made += math.prod(size) * dtype.itemsize
            if self.made > self._most:
                self.exceeded = True
                raise _Exceeded
        return func(*args, **given)


def _check(cfg: DictConfig, free: float, made: int, *, training: bool) -> None:
    """Raises UserError where the networks need more than ``free`` bytes; ``made``: the bytes counted so far."""
    try:
        with torch.device("meta"):
            sizes = {str(name): _bytes(build(node)) for name, node in cfg.arch.items()}
    except Exception:  # the sizes overflow even on the meta device
        sizes = {"generator": made}
    weights = sum(sizes.values())
    needed = weights
    if training:
        shared, _ = split_by_player(cfg.optim)
        kept = _values_per_weight(build(OmegaConf.create(shared)))
        needed = weights * (2 + kept) + sizes.get("generator", 0)
    if needed > free:
        purpose = "to train" if training else "to load"
        raise UserError(
            f"the networks are too large: they take {_gigabytes(needed)} {purpose} (their weights alone "
            f"{_gigabytes(weights)}), and {_gigabytes(free)} are free; take a smaller arch or "
            "data.resolution"
        )


def _bytes(net: nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in (*net.parameters(), *net.buffers()))


def _values_per_weight(optim: Callable[..., torch.optim.Optimizer]) -> int:
    """How many numbers an optimiser keeps for each weight: 2 for Adam, 0 for plain SGD."""
    weight = nn.Parameter(torch.zeros(8))
    optimiser = optim([weight], "g")
    weight.grad = torch.zeros_like(weight)
    optimiser.step()
    kept = (value for memory in optimiser.state.values() for value in memory.values())
    return sum(isinstance(value, torch.Tensor) and value.numel() == len(weight) for value in kept)


def _free(device: torch.device) -> float:
    """Bytes available to each process of the run on this machine."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return free_memory() / collectives.process_info().local_world_size


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
