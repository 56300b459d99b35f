"""Where 32 bits are needed: losses, penalties and scores, whatever the networks compute in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def full_float32() -> Iterator[None]:
    """Within this context NVIDIA's GPUs take float32 products in float32, whatever training rounds them to.

    Also a decorator. What was set before is put back.
    """
    places: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]  # type: ignore[attr-defined]
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, products in zip(places, before, strict=True):
            place.fp32_precision = products


def at_least_float32(values: Tensor) -> Tensor:
    """What losses and penalties are taken of: 16 bits widened, everything else as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
