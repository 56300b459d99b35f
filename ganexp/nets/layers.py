"""Layers and base classes that several architectures share."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.errors import UserError

_GROUP = 32  # channels of a group norm's groups, at most


def _group_norm(channels: int, affine: bool = True) -> nn.GroupNorm:
    """Wu & He 2018: the fewest equal groups of at most 32 channels: of 32 where these divide them."""
    groups = next(n for n in range(-(-channels // _GROUP), channels + 1) if channels % n == 0)
    return nn.GroupNorm(groups, channels, affine=affine)


IMAGE_NORMS: dict[str, Callable[..., nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": lambda channels, affine=True: nn.GroupNorm(1, channels, affine=affine),
    "group": _group_norm,
    "instance": lambda channels, affine=True: nn.InstanceNorm2d(channels, affine=affine),
    "none": lambda channels: nn.Identity(),
}
"""Norms of feature maps [N, C, H, W], by their name in a configuration."""


def norm_of(norm: str, channels: int, *, affine: bool) -> nn.Module:
    """A norm of feature maps; ``norm=none`` is one without a gain and a bias in any case."""
    return nn.Identity() if norm == "none" else IMAGE_NORMS[norm](channels, affine=affine)


FLAT_NORMS: dict[str, Callable[..., nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": lambda units, affine=True: nn.LayerNorm(units, elementwise_affine=affine),
    "none": lambda units: nn.Identity(),
}
"""Norms of feature vectors [N, C]."""


def is_tracing() -> bool:
    """Whether torch.jit.trace is running; shapes are not Python numbers then."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def needs_torch_operations() -> bool:
    """Whether torch.compile, torch.jit.trace or a transform of torch.func is running.

    These do not support our autograd functions, so that the layers use torch's operations then.
    """
    return (
        torch.compiler.is_compiling()
        or is_tracing()
        or torch._C._are_functorch_transforms_active()  # autograd.Function calls it too; no public API exists
    )


class LeakyReLU(nn.Module):
    """x where it is positive, ``slope`` times x elsewhere. Cheaper than torch's under gradient penalties.

    Its second derivative is zero. Torch computes that zero and propagates it through all layers below.
    """

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        if needs_torch_operations():
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
        grad_input: Tensor = torch.ops.aten.leaky_relu_backward(gradients[0], x.detach(), ctx.slope, False)
        return grad_input, None


class GeneratorBase(nn.Module):
    """A generator from noise: ``forward(z, y=None)``. The base class of every architecture's ``Generator``."""

    TRAITS: ClassVar[tuple[str, ...]] = ()
    """What it is made of, as ``config/combinations.py`` names it. A literal: it is read from the source."""

    latent: int
    """Dimensions of z."""

    classes: int
    """Number of classes of its labels; 0 if it takes no labels."""

    normalises_latents: ClassVar[bool] = False
    """Whether it divides z by its length, so that only the direction of z counts."""

    truncation: float | None = None
    """psi, for sampling: how far styles are from their mean, as a share; None: the generator has no styles."""


class DiscriminatorBase(nn.Module):
    """A trunk (``features``) and a head (``heads.py``). The base class of every ``Discriminator``.

    ``forward(x, y=None)`` returns logits [N], or [N, ...] if the head has a logit for each patch, or
    [N, 1 + outputs] if it has outputs for its game: [N, patches + outputs] if it judges patches too.
    """

    TRAITS: ClassVar[tuple[str, ...]] = ()
    """What it is made of, as ``config/combinations.py`` names it. A literal: it is read from the source."""

    BATCH_UNIT: ClassVar[str | None] = None
    """The setting of which each rank's share of a batch must be a multiple. A literal, as of a game."""

    samplewise: bool
    """Whether a sample's logit depends on that sample only, so that batches may be concatenated."""

    classes: int
    """Number of classes of its labels; 0 if it takes no labels."""

    outputs: int = 0
    """Outputs beside the logits, for the game: they are the last columns of what it gives; see ``heads.py``."""

    takes_mask: bool = False
    """Whether the last channel of what it judges is a mask of holes."""

    head: nn.Module

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The head's input: [N, D] or [N, C, H, W]."""
        raise NotImplementedError

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        logits: Tensor = self.head(self.features(x, y), y)
        return logits

    def rename_former_head(self, former: str) -> None:
        """Lets old checkpoints load, in which the head had the name ``former``, such as ``out``."""

        def rename(module: nn.Module, content: dict[str, Tensor], prefix: str, *_: object) -> None:
            for key in [key for key in content if key.startswith(f"{prefix}{former}.")]:
                content[f"{prefix}head.{key.removeprefix(f'{prefix}{former}.')}"] = content.pop(key)

        self.register_load_state_dict_pre_hook(rename)  # type: ignore[no-untyped-call]


def label_vectors(y: Tensor | None, classes: int) -> Tensor:
    """Labels as float32 [N, classes]: classes [N] one-hot, attributes [N, classes] as they are.

    Raises UserError if ``y`` is None.
    """
    if y is None:
        raise UserError("these networks expect labels (classes > 0): train them with game=cgan")
    if y.dim() == 2:
        return y.float()
    return torch.zeros(y.shape[0], classes, device=y.device).scatter(
        1, y[:, None], 1.0
    )  # functional.one_hot would synchronise


def with_label_maps(x: Tensor, y: Tensor | None, classes: int) -> Tensor:
    """Maps [N, C, H, W] and a constant map for each number of the labels' vectors: [N, C + classes, H, W]."""
    maps = label_vectors(y, classes)[:, :, None, None]
    return torch.cat([x, maps.expand(-1, -1, *x.shape[2:])], 1)


def smallest_side(arch: str, shape: Sequence[int], divisor: int) -> int:
    """The side of an image [C, H, W] over ``divisor``: that of the smallest map of the networks ``arch``.

    Raises UserError for samples that are no square images, or whose side is not a multiple of ``divisor``.
    """
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] % divisor:
        size = " x ".join(map(str, shape[1:])) or "points"
        raise UserError(
            f"arch={arch} makes square images whose side is a multiple of {divisor}, and this data has {size}"
        )
    return shape[1] // divisor


def doublings(arch: str, shape: Sequence[int], smallest: int) -> int:
    """How often a map of side ``smallest`` is doubled to an image [C, H, W], once at least.

    Raises UserError for sides of which the networks ``arch`` make none: they make powers of two.
    """
    times = smallest_side(arch, shape, smallest)
    count = times.bit_length() - 1
    if count < 1 or times != 2**count:
        raise UserError(
            f"data.resolution={shape[1]}: arch={arch} makes powers of two from {2 * smallest} on; arch=mlp "
            "makes any size"
        )
    return count


def initialise_normal(module: nn.Module) -> None:
    """Weights of linear layers and convolutions from N(0, 0.02^2), biases 0, as in DCGAN (section 4)."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def count_weights(module: nn.Module) -> int:
    """The number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
