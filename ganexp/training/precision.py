"""How exactly networks compute: float32 throughout, or half of it where that loses nothing (mixed precision).

Weights, their gradients and the optimisers' memory are float32 in any case. Under ``bf16`` and ``fp16`` the
products of convolutions and linear layers are taken in 16 bits (Micikevicius et al. 2018); losses and penalties
stay in float32. ``fp16`` has few exponents, so its losses are scaled up before the backward pass. ``tf32`` is
float32 whose products NVIDIA's tensor cores round to 10 bits.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from ganexp.config.ranges import PrecisionName
from ganexp.errors import UserError, tell
from ganexp.sentinel import SCALE

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """What a step computes in. Raises UserError where the device cannot."""

    def __init__(self, name: PrecisionName, device: torch.device) -> None:
        if name == "auto":
            name = "tf32" if device.type == "cuda" else "fp32"
        if name == "tf32" and device.type != "cuda":
            raise UserError(f"device.precision=tf32: only NVIDIA's GPUs compute so; on {device.type} say bf16")
        if device.type == "cpu" and name in _HALVES and not _computes(name):
            tell(f"this processor has no {name}, and works it out more slowly than device.precision=fp32")
        self.name = name
        self._device = device
        self._half = _HALVES.get(name)
        self._scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")
        if device.type == "cuda":
            products = "tf32" if name == "tf32" else "ieee"
            torch.backends.cuda.matmul.fp32_precision = products
            torch.backends.cudnn.conv.fp32_precision = products  # type: ignore[attr-defined]

    @property
    def waits(self) -> bool:
        """Whether a step waits for the device, to see if a scaled gradient was too large."""
        return self._scaler.is_enabled()

    def autocast(self) -> AbstractContextManager[None]:
        """Within this context networks compute in it."""
        found: AbstractContextManager[None] = torch.autocast(
            self._device.type, dtype=self._half, enabled=self._half is not None
        )
        return found

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a scalar, in the scale of this precision."""
        torch.autograd.backward(self._scaler.scale(loss))

    def unscale(self, optimiser: torch.optim.Optimizer) -> None:
        """Brings the gradients of an optimiser's weights back to their own scale."""
        self._scaler.unscale_(optimiser)

    def step(self, optimiser: torch.optim.Optimizer) -> Tensor | None:
        """The optimiser's step; left out where a scaled gradient was too large, and the scale is lowered.

        Under fp16 it returns whether the step was left out, a bool on the device, where nobody waits for it;
        otherwise None, for none ever is.
        """
        one = torch.ones((), device=self._device)
        before = self._scaler.scale(one)
        self._scaler.step(optimiser)
        self._scaler.update()
        return self._scaler.scale(one) < before if self._scaler.is_enabled() else None

    def scalars(self) -> dict[str, float]:
        """``precision/scale``, fp16's factor on the losses; waits for the device. Empty but for fp16."""
        return {SCALE: self._scaler.get_scale()} if self._scaler.is_enabled() else {}

    def state_dict(self) -> dict[str, Any]:
        """The scale and how long it has held; empty but for fp16."""
        return dict(self._scaler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on with a scale from a checkpoint; one of another precision is none of ours."""
        if state and self._scaler.is_enabled():
            self._scaler.load_state_dict(state)


def _computes(name: str) -> bool:
    """Whether the processor has instructions for it, as far as torch knows its instructions."""
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    kinds = [has for instructions, has in known.items() if instructions.endswith(name)]
    return any(kinds) or not kinds
