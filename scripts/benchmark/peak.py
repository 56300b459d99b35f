"""The machine's peak FLOP/s, and the floating-point operations of a step."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class _Counter(TorchDispatchMode):
    """Torch's FlopCounterMode without its module tracking, which fails on a gradient penalty."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of convolutions and matrix products, backward passes included."""
    with _Counter() as counter:
        work()
    total: int = counter.total
    return total


def peak(kind: str, precision: str, device: torch.device, seconds: float) -> float:
    """The best FLOP/s of a large ``conv`` or ``gemm`` within ``seconds``."""
    dtype = _HALVES.get(precision, torch.float32)
    return _best(_convolution(dtype, device) if kind == "conv" else _product(dtype, device), device, seconds)


def synchronise(device: torch.device) -> None:
    """Waits for all kernels of a CUDA device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _best(work: Callable[[], Tensor], device: torch.device, seconds: float) -> float:
    count = operations(work)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        synchronise(device)
        began = time.perf_counter()
        for _ in range(4):
            work()
        synchronise(device)
        best = min(best, (time.perf_counter() - began) / 4)
    return count / best


def _product(dtype: torch.dtype, device: torch.device) -> Callable[[], Tensor]:
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return lambda: a @ b


def _convolution(dtype: torch.dtype, device: torch.device) -> Callable[[], Tensor]:
    channels = 512 if device.type == "cuda" else 128
    images = torch.randn(64, channels, 32, 32, device=device).to(dtype, memory_format=torch.channels_last)
    weights = torch.randn(channels, channels, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
    return lambda: functional.conv2d(images, weights, padding=1)
