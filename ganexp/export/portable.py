"""A generator as other programs call it: its inputs by name, with sizes that may vary, and one output.

In evaluation mode, in float32 and on the CPU. A generator that takes noise in its layers has a fixed map of it
in evaluation mode; one that draws random numbers of its own is refused, because a file could not repeat them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganexp.data.batches import Batch
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.export.inputs import DRAWN, Input, described, values
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

    ``output``: its name. ``multiple``: of a source's height and width, where these may vary; None where they
    may not. ``verb``: the verb that applies such a generator.
    """

    module: Portable
    output: str
    multiple: int | None
    verb: str
    _game: Game
    _source: Source

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """What the module is called with."""
        return described(self.example(DRAWN, seed=0), self._game, self.module.net, self._source)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the inputs, in their order."""
        return tuple(one.name for one in self.inputs)

    def example(self, count: int, seed: int, sides: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
        """Inputs for ``count`` outputs; ``sides``: height and width of sources, else as in training."""
        rng = torch.Generator().manual_seed(seed)
        labels = _labels(self._source, count, rng)
        net = self.module.net
        if isinstance(net, Restored):
            channels, *size = net.degrade.source_shape
            source = 2 * torch.rand(count, channels, *(sides or size), generator=rng) - 1
            return (source, labels) if net.classes else (source,)
        x = 2 * torch.rand(count, *self._source.shape, generator=rng) - 1
        return self._game.inputs(Request(count), rng, Batch(x, labels)).args

    @torch.no_grad()
    def __call__(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The output of the module itself, with which files are compared."""
        output: Tensor = self.module(*inputs)
        return output

    def table(self) -> list[tuple[str, str, str]]:
        """Name, shape and meaning of each input and of the output."""
        inputs = self.example(2, seed=0)
        parts = (*inputs, self(inputs))
        shapes = [f"[{', '.join(['N', *map(str, part.shape[1:])])}]" for part in parts]
        if self.multiple is not None:
            scale = parts[-1].shape[2] // inputs[0].shape[2]
            several = "" if self.multiple == 1 else f", multiples of {self.multiple}"
            shapes[0] = f"[N, {inputs[0].shape[1]}, H, W]; any H and W{several}"
            sides = "H, W" if scale == 1 else f"{scale} H, {scale} W"
            shapes[-1] = f"[N, {parts[-1].shape[1]}, {sides}]"
        told = [*(one.about for one in self.inputs), values(self._source)]
        return list(zip((*self.names, self.output), shapes, told, strict=True))


def exportable(game: Game, net: nn.Module, source: Source, direction: str | None = None) -> Exportable:
    """The averaged generator ``net`` of a game; ``direction``: of a game that translates both ways.

    The network is changed: it is moved to the CPU and has no parametrisations any more. Raises UserError for a
    generator that draws random numbers.
    """
    net = game.translator(direction) if isinstance(game, Translation) else net
    whole = Portable(net).cpu().float().eval()  # in training, a spectral norm makes a step when it is removed
    for module in net.modules():
        for name in list(getattr(module, "parametrizations", {})):
            parametrize.remove_parametrizations(module, name)
    for growth in growths(net):
        growth.train()  # its stage is then that which Python knows of, and no buffer decides about layers
    output = "image" if source.is_image else "sample"
    verb = "translate" if isinstance(game, Translation) else "sample"
    exported = Exportable(whole, output, _multiple(net), verb, game, source)
    _check_repeatable(exported)
    return exported


def _multiple(net: nn.Module) -> int | None:
    """Of which a source's sides have to be multiples; None if they are fixed.

    A network whose smallest map has one position at the size of training is kept at that size: torch.export
    takes a size of 1 as a constant.
    """
    if not isinstance(net, Restored):
        return None
    multiple: int | None = getattr(net.net, "multiple", None)
    return multiple if multiple and min(net.degrade.source_shape[1:]) >= 2 * multiple else None


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
