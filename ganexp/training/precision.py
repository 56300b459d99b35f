"""The numerical precision of networks: float32, tf32, or mixed precision with bf16 or fp16.

Weights, gradients and optimiser state are always float32. Under ``bf16`` and ``fp16``, convolutions and linear
layers compute in 16 bits (Micikevicius et al. 2018); losses and penalties stay in float32. ``fp16`` has a small
exponent range, so losses are scaled up before the backward pass. ``tf32`` is float32 whose factors NVIDIA's
tensor cores round to a mantissa of 10 bits.
"""

from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from torch import Tensor

from ganexp.config.ranges import PrecisionName
from ganexp.distributed import collectives, objects
from ganexp.errors import UserError, print_to_stderr
from ganexp.sentinel import SCALE
from ganexp.training.fastest_precision import fastest_on_cpu, has_instructions

_NAMES = ("fp32", "tf32", "bf16", "fp16")

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Autocast and loss scaling of a step. Raises UserError where the device does not support ``name``."""

    def __init__(self, name: PrecisionName, device: torch.device) -> None:
        self._device = device
        self._is_auto = name == "auto"
        self.reason: str | None = None
        """Why ``auto`` chose this precision, for the log; None where there was nothing to choose."""
        if name == "auto":
            name = self._choose()
        if name == "tf32" and device.type != "cuda":
            raise UserError(f"device.precision=tf32: only NVIDIA GPUs support it; on {device.type} use bf16")
        self._use(name)

    def _choose(self) -> PrecisionName:
        if self._device.type == "cpu":
            name, self.reason = objects.broadcast_object(fastest_on_cpu() if collectives.rank() == 0 else None)
            return cast(PrecisionName, name)
        return "tf32" if self._device.type == "cuda" else "fp32"

    def _use(self, name: PrecisionName) -> None:
        if self._device.type == "cpu" and name in _HALVES and has_instructions(name) is False:
            print_to_stderr(
                f"this CPU has no {name} instructions: it is slower than device.precision=fp32 here"
            )
        self.name = name
        self._half = _HALVES.get(name)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=name == "fp16")
        if self._device.type == "cuda":
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
        """The precision's name; under fp16 also the scale and the number of steps since it changed."""
        return {"name": self.name, **self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a checkpoint: its precision, where this run says ``auto``, and the scale of fp16.

        Checkpoints without a name are of versions in which ``auto`` was tf32 on CUDA and fp32 elsewhere. A
        precision that this device does not have is not restored.
        """
        scale = {key: value for key, value in state.items() if key != "name"}
        name = state.get("name") or ("tf32" if self._device.type == "cuda" else "fp32")
        if self._is_auto and name != self.name and (name != "tf32" or self._device.type == "cuda"):
            if name not in _NAMES:
                raise ValueError(f"precision {name!r} is not known")
            self._use(cast(PrecisionName, name))
            self.reason = "as in the checkpoint"
        if scale and self._scaler.is_enabled():
            self._scaler.load_state_dict(scale)
