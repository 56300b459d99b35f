"""What a generator is called with, in words and as lines of numpy and of torch."""

from dataclasses import dataclass

from torch import Tensor, nn

from ganexp.data.source import Source
from ganexp.games.game import Game
from ganexp.games.translation import Restored, Translation

DRAWN = 8
"""Samples that the lines make."""


@dataclass(frozen=True)
class Input:
    """An input: its name, what it is, and how to draw it: expressions of numpy, with ``rng``, and of torch."""

    name: str
    about: str
    of_numpy: str
    of_torch: str


def values(source: Source) -> str:
    """The range of samples, in words."""
    return "in [-1, 1]" if source.bounded else "not bounded"


def described(example: tuple[Tensor, ...], game: Game, net: nn.Module, source: Source) -> tuple[Input, ...]:
    """The inputs of ``net``, of which ``example`` has ``DRAWN``."""
    first, *labels = example
    size = tuple(first.shape)
    even = f'rng.uniform(-1, 1, {size}).astype("float32")', f"2 * torch.rand{size} - 1"
    if isinstance(game, Translation):
        assert isinstance(net, Restored)
        told = game.degrade.about if net.degrade is game.degrade else "images of the other domain"
        inputs = [Input("source", f"{told}, in the range that training uses", *even)]
    elif game.needs_reference:
        inputs = [Input("x", f"samples {values(source)}", *even)]
    else:
        inputs = [_latents(game)]
    if labels:
        several, count = labels[0].dim() > 1, tuple(labels[0].shape)
        most = 2 if several else source.classes
        about = "0 or 1 for each attribute, int64" if several else "one class for each sample, int64"
        drawn = f"rng.integers({most}, size={count})", f"torch.randint({most}, {count})"
        inputs.append(Input("label", about, *drawn))
    return tuple(inputs)


def _latents(game: Game) -> Input:
    """z: noise and, in games that have codes, these behind it."""
    prior = game.prior
    assert prior is not None
    size = (DRAWN, prior.noise_size)
    normal = prior.noise == "normal"
    of_numpy = f'rng.standard_normal({size}, "float32")' if normal else f"rng.uniform(-1, 1, {size})"
    of_torch = f"torch.randn{size}" if normal else f"2 * torch.rand{size} - 1"
    about = [f"{prior.noise_size} numbers of noise, " + ("N(0, 1)" if normal else "in [-1, 1]")]
    codes_of_numpy, codes_of_torch = [], []
    for kind in game.code_kinds:
        about.append(f"one-hot of {kind}" if kind else "a number in [-1, 1]")
        if kind:
            codes_of_numpy.append(f"numpy.eye({kind})[rng.integers({kind}, size={DRAWN})]")
            codes_of_torch.append(f"torch.eye({kind})[torch.randint({kind}, ({DRAWN},))]")
        else:
            codes_of_numpy.append(f"rng.uniform(-1, 1, ({DRAWN}, 1))")
            codes_of_torch.append(f"2 * torch.rand({DRAWN}, 1) - 1")
    if codes_of_numpy:
        of_numpy = f"numpy.hstack([{', '.join([of_numpy, *codes_of_numpy])}])"
        of_torch = f"torch.cat([{', '.join([of_torch, *codes_of_torch])}], 1)"
    if codes_of_numpy or not normal:
        of_numpy += '.astype("float32")'
    return Input("z", "; then ".join(about), of_numpy, of_torch)
