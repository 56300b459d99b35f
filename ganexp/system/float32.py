"""Float32 for losses, penalties and scores, whatever precision the networks compute in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def full_float32() -> Iterator[None]:
    """Within this context NVIDIA GPUs multiply float32 in full precision, even if training uses TF32.

    Also a decorator. Restores the previous setting.
    """
    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


def at_least_float32(values: Tensor) -> Tensor:
    """Widens 16-bit floats to float32, for losses and penalties; wider floats stay as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
