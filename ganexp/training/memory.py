"""Whether networks fit into memory, found out before anything large is made.

To build them on torch's meta device first would tell, but takes seconds at its first use. So the tensors that
constructors ask for are counted as they are made; where there might be too many, and only there, the exact need
is worked out on the meta device.
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

_MOST_COPIES = 5
"""Of a weight in training: itself, its gradient, two numbers of Adam's, the average."""

_MAKERS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}


def within_memory(make: Callable[[], T], cfg: DictConfig, device: torch.device, *, training: bool) -> T:
    """What ``make()`` returns: the networks of ``cfg.arch`` in a game. Raises UserError for want of memory.

    ``training``: whether gradients, an optimiser and an average will be needed too.
    """
    free = _free(device)
    random = torch.get_rng_state()
    counted = _Counted(free / (_MOST_COPIES if training else 1))
    try:
        with counted:
            return make()
    except Exception:  # Hydra wraps ours in its own
        if not counted.exceeded:
            raise
    _check(cfg, free, counted.made, training=training)
    torch.set_rng_state(random)
    return make()


class _Exceeded(Exception):
    pass


class _Counted(TorchFunctionMode):
    """Counts the bytes of the tensors that are made within this context; more than ``most`` are an error."""

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
    """Raises UserError where networks need more than is ``free``; ``made``: the bytes that were counted."""
    try:
        with torch.device("meta"):
            sizes = {str(name): _bytes(build(node)) for name, node in cfg.arch.items()}
    except Exception:  # torch cannot even count so many
        sizes = {"generator": made}
    weights = sum(sizes.values())
    needed = weights
    if training:
        shared, _ = split_by_player(cfg.optim)
        kept = _kept_for_each(build(OmegaConf.create(shared)))
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


def _kept_for_each(optim: Callable[..., torch.optim.Optimizer]) -> int:
    """How many numbers an optimiser keeps for each weight: 2 of Adam, 0 of plain SGD."""
    weight = nn.Parameter(torch.zeros(8))
    optimiser = optim([weight], "g")
    weight.grad = torch.zeros_like(weight)
    optimiser.step()
    kept = (value for memory in optimiser.state.values() for value in memory.values())
    return sum(isinstance(value, torch.Tensor) and value.numel() == len(weight) for value in kept)


def _free(device: torch.device) -> float:
    """Bytes that each process of the run on this machine can take for networks."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return free_memory() / collectives.process_info().local_world


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
