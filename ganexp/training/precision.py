"""The numerical precision of networks: float32, tf32, or mixed precision with bf16 or fp16.

Weights, gradients and optimiser state are always float32. Under ``bf16`` and ``fp16``, convolutions and linear
layers compute in 16 bits (Micikevicius et al. 2018); losses and penalties stay in float32. ``fp16`` has a small
exponent range, so losses are scaled up before the backward pass. ``tf32`` is float32 whose factors NVIDIA's
tensor cores round to a mantissa of 10 bits.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from ganexp.config.ranges import PrecisionName
from ganexp.errors import UserError, print_to_stderr
from ganexp.sentinel import SCALE

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Autocast and loss scaling of a step. Raises UserError where the device does not support ``name``."""

    def __init__(self, name: PrecisionName, device: torch.device) -> None:
        if name == "auto":
            name = "tf32" if device.type == "cuda" else "fp32"
        if name == "tf32" and device.type != "cuda":
            raise UserError(f"device.precision=tf32: only NVIDIA GPUs support it; on {device.type} use bf16")
        if device.type == "cpu" and name in _HALVES and not _has_instructions(name):
            print_to_stderr(
                f"this CPU has no {name} instructions: it is slower than device.precision=fp32 here"
            )
        self.name = name
        self._device = device
        self._half = _HALVES.get(name)
        self._scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")
        if device.type == "cuda":
            products = "tf32" if name == "tf32" else "ieee"
            torch.backends.cuda.matmul.fp32_precision = products
            torch.backends.cudnn.conv.fp32_precision = products  # type: ignore[attr-defined]

    @property
    def synchronises(self) -> bool:
        """Whether a step synchronises, to see if a scaled gradient overflowed (fp16 only)."""
        return self._scaler.is_enabled()

    def autocast(self) -> AbstractContextManager[None]:
        """The autocast context of this precision."""
        found: AbstractContextManager[None] = torch.autocast(
            self._device.type, dtype=self._half, enabled=self._half is not None
        )
        return found

    def backward(self, loss: Tensor) -> None:
        """Backward pass of a scalar; under fp16 the gradients are scaled."""
        torch.autograd.backward(self._scaler.scale(loss))

    def unscale(self, optimiser: torch.optim.Optimizer) -> None:
        """Divides the gradients of an optimiser's weights by the scale."""
        self._scaler.unscale_(optimiser)

    def step(self, optimiser: torch.optim.Optimizer) -> Tensor | None:
        """The optimiser's step. Under fp16, if a gradient overflowed, skips it and lowers the scale.

        Under fp16 returns whether the step was skipped, a bool tensor on the device; otherwise None.
        """
        one = torch.ones((), device=self._device)
        before = self._scaler.scale(one)
        self._scaler.step(optimiser)
        self._scaler.update()
        return self._scaler.scale(one) < before if self._scaler.is_enabled() else None

    def scalars(self) -> dict[str, float]:
        """``precision/scale``, the factor on fp16's losses; empty for other precisions. Synchronises."""
        return {SCALE: self._scaler.get_scale()} if self._scaler.is_enabled() else {}

    def state_dict(self) -> dict[str, Any]:
        """The scale and the number of steps since it changed; empty except under fp16."""
        return dict(self._scaler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the scale of a checkpoint; does nothing unless both it and this run are fp16."""
        if state and self._scaler.is_enabled():
            self._scaler.load_state_dict(state)


def _has_instructions(name: str) -> bool:
    """Whether the CPU has instructions for this precision; True where torch cannot tell."""
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    kinds = [has for instructions, has in known.items() if instructions.endswith(name)]
    return any(kinds) or not kinds
