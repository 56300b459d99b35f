"""What several architectures are made of."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.errors import UserError

IMAGE_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "none": lambda channels: nn.Identity(),
}
"""Norms of feature maps [N, C, H, W], by their name in a configuration."""

FLAT_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
    "none": lambda units: nn.Identity(),
}
"""Norms of feature vectors [N, C]."""


def is_traced() -> bool:
    """Whether torch.jit.trace is watching, to which a shape is no number."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def knows_only_torch() -> bool:
    """Whether the caller is torch.compile, torch.jit.trace or a transform of torch.func.

    They know torch's operations, not derivatives of our own: torch's take their place then.
    """
    return (
        torch.compiler.is_compiling()
        or is_traced()
        or torch._C._are_functorch_transforms_active()  # as autograd.Function asks; there is no public name
    )


class LeakyReLU(nn.Module):
    """x where it is positive, ``slope`` times x elsewhere: torch's, but cheaper where gradients are penalised.

    Its second derivative is zero. Torch computes that zero, and carries it back through all layers below.
    """

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        if knows_only_torch():
            return functional.leaky_relu(x, self.slope)
        result: Tensor = _LeakyReLU.apply(x, self.slope)
        return result


class _LeakyReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        return functional.leaky_relu(x, slope)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        passed: Tensor = torch.ops.aten.leaky_relu_backward(gradients[0], x.detach(), ctx.slope, False)
        return passed, None


class GeneratorBase(nn.Module):
    """A generator that is fed noise: ``forward(z, y=None)``. The base of every architecture's ``Generator``."""

    latent: int
    """How many numbers z has."""

    classes: int
    """How many labels it can be asked for; 0 if none."""


class DiscriminatorBase(nn.Module):
    """A trunk (``features``) and a head (``heads.py``). The base of every architecture's ``Discriminator``.

    ``forward(x, y=None)`` gives logits [N], or [N, ...] where patches are judged.
    """

    samplewise: bool
    """Whether a sample's logit depends on that sample alone: then batches may be joined."""

    classes: int
    """How many labels it is told of; 0 if none."""

    head: nn.Module

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the head judges: [N, D] or [N, C, H, W]."""
        raise NotImplementedError

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        logits: Tensor = self.head(self.features(x, y), y)
        return logits

    def rename_former_head(self, former: str) -> None:
        """Has checkpoints load that were written when the head was a layer of another name, such as ``out``."""

        def rename(module: nn.Module, content: dict[str, Tensor], prefix: str, *_: object) -> None:
            for key in [key for key in content if key.startswith(f"{prefix}{former}.")]:
                content[f"{prefix}head.{key.removeprefix(f'{prefix}{former}.')}"] = content.pop(key)

        self.register_load_state_dict_pre_hook(rename)  # type: ignore[no-untyped-call]


def one_hot(y: Tensor | None, classes: int) -> Tensor:
    """Labels [N] as vectors [N, classes] of 0 and 1. Raises UserError if there are no labels."""
    if y is None:
        raise UserError("these networks expect labels (classes > 0): train them with game=cgan")
    return torch.zeros(y.shape[0], classes, device=y.device).scatter(
        1, y[:, None], 1.0
    )  # torch's own waits for y


def count_weights(module: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(parameter.numel() for parameter in module.parameters())
