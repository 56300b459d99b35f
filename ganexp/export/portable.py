"""A generator as other programs call it: its inputs by name, with sizes that may vary, and one output.

In evaluation mode, in float32 and on the CPU. A generator that takes noise in its layers has a fixed map of it
in evaluation mode; one that draws random numbers of its own is refused, because a file could not repeat them.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganexp.data.batches import Batch
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.request import Request
from ganexp.games.translation import Restored, Translation
from ganexp.nets.growth import growths
from ganexp.system.rng import fork_rng


class Portable(nn.Module):
    """A network whose output is float32."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> Tensor:
        output: Tensor = self.net(*inputs).float()
        return output


@dataclass(frozen=True)
class Exportable:
    """A module of named inputs and one output.

    ``names``: of the inputs, in their order. ``multiple``: of a source's height and width, where these may
    vary; None where they may not. ``about``, ``shapes``: of each input and of the output, for people.
    ``verb``: the verb that applies such a generator.
    """

    module: Portable
    names: tuple[str, ...]
    output: str
    multiple: int | None
    about: dict[str, str]
    shapes: dict[str, str]
    verb: str
    _game: Game
    _source: Source

    def example(self, count: int, seed: int, sides: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
        """Inputs for ``count`` outputs; ``sides``: height and width of sources, else as in training."""
        rng = torch.Generator().manual_seed(seed)
        labels = _labels(self._source, count, rng)
        if isinstance(self._game, Translation):
            net = self.module.net
            assert isinstance(net, Restored)
            channels, *size = net.degrade.source_shape
            source = 2 * torch.rand(count, channels, *(sides or size), generator=rng) - 1
            return (source, labels) if net.classes else (source,)
        x = 2 * torch.rand(count, *self._source.shape, generator=rng) - 1
        return self._game.inputs(Request(count), rng, Batch(x, labels)).args

    def drawn(self, count: int) -> dict[str, tuple[str, str]]:
        """How to draw each input: a line of numpy, with ``rng``, and one of torch."""
        lines = {}
        for name, part in zip(self.names, self.example(count, 0), strict=True):
            size = tuple(part.shape)
            if name == "label":
                most = 2 if part.dim() > 1 else self._source.classes
                lines[name] = f"rng.integers({most}, size={size})", f"torch.randint({most}, {size})"
            elif name == "z" and (prior := self._game.prior) is not None and prior.noise == "normal":
                lines[name] = f'rng.standard_normal({size}, "float32")', f"torch.randn{size}"
            else:
                lines[name] = f'rng.uniform(-1, 1, {size}).astype("float32")', f"2 * torch.rand{size} - 1"
        return lines

    @torch.no_grad()
    def __call__(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The output of the module itself, with which files are compared."""
        output: Tensor = self.module(*inputs)
        return output


def exportable(game: Game, net: nn.Module, source: Source, direction: str | None = None) -> Exportable:
    """The averaged generator ``net`` of a game; ``direction``: of a game that translates both ways.

    Raises UserError for a generator that draws random numbers.
    """
    net = game.translator(direction) if isinstance(game, Translation) else net
    for module in net.modules():
        for name in list(getattr(module, "parametrizations", {})):
            parametrize.remove_parametrizations(module, name)
    whole = Portable(net).cpu().float().eval()
    for growth in growths(net):
        growth.train()  # its stage is then that which Python knows of, and no buffer decides about layers
    names, about = _inputs(game, net, source)
    output = "image" if source.is_image else "sample"
    verb = "translate" if isinstance(game, Translation) else "sample"
    exported = Exportable(whole, names, output, _multiple(net), about, {}, verb, game, source)
    _check_repeatable(exported)
    return replace(exported, shapes=_shapes(exported))


def _shapes(exported: Exportable) -> dict[str, str]:
    """The shapes of inputs and output as text: ``[N, 1, 28, 28]``."""
    inputs = exported.example(2, seed=0)
    tensors = dict(zip((*exported.names, exported.output), (*inputs, exported(inputs)), strict=True))
    shapes = {name: f"[{', '.join(['N', *map(str, part.shape[1:])])}]" for name, part in tensors.items()}
    if exported.multiple is not None:
        channels, of_output = inputs[0].shape[1], tensors[exported.output].shape[1]
        scale = tensors[exported.output].shape[2] // inputs[0].shape[2]
        several = "" if exported.multiple == 1 else f", multiples of {exported.multiple}"
        shapes[exported.names[0]] = f"[N, {channels}, H, W]; any H and W{several}"
        shapes[exported.output] = f"[N, {of_output}, " + ("H, W]" if scale == 1 else f"{scale} H, {scale} W]")
    return shapes


def _multiple(net: nn.Module) -> int | None:
    """Of which a source's sides have to be multiples; None if they are fixed.

    A network whose smallest map has one position at the size of training is kept at that size: torch.export
    takes a size of 1 as a constant.
    """
    if not isinstance(net, Restored):
        return None
    multiple: int | None = getattr(net.net, "multiple", None)
    return multiple if multiple and min(net.degrade.source_shape[1:]) >= 2 * multiple else None


def _inputs(game: Game, net: nn.Module, source: Source) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names of the inputs, and what they and the output are."""
    values = "in [-1, 1]" if source.bounded else "not bounded"
    kind = "one class for each sample, int64" if source.label_kind == "classes" else "0 or 1 for each attribute"
    if isinstance(game, Translation):
        first, told = "source", f"{game.degrade.about}, in the range that training uses"
    elif game.needs_reference:
        first, told = "x", f"samples {values}"
    else:
        first, told = "z", "noise" if not game.code_kinds else "noise, then the codes"
    about = {first: told}
    if (isinstance(net, Restored) and net.classes) or (first == "z" and getattr(net, "classes", 0)):
        about["label"] = kind
    about["image" if source.is_image else "sample"] = values
    return tuple(about)[:-1], about


def _labels(source: Source, count: int, rng: torch.Generator) -> Tensor:
    if source.label_kind == "classes":
        return torch.randint(source.classes, (count,), generator=rng)
    return torch.randint(2, (count, source.classes), generator=rng)


def _check_repeatable(exported: Exportable) -> None:
    """Raises UserError where two calls with the same inputs differ."""
    inputs = exported.example(2, seed=0)
    outputs: list[Any] = []
    for seed in (0, 1):
        with fork_rng(torch.device("cpu")):
            torch.manual_seed(seed)
            outputs.append(exported(inputs))
    if not torch.equal(*outputs):
        raise UserError(
            "this generator draws random numbers when it is called, in evaluation mode too: a file of it could "
            "not make the same images"
        )
