"""Truncation: fewer odd samples and less variety. What it does follows from the generator.

    with styles       w' = mean + psi (w - mean)           Karras et al. 2019, appendix B
    without           z' of the prior with |z_i| <= psi    Brock et al. 2019, section 3.1

So psi is a share of a distance, or a threshold in units of z. 0 makes all samples alike in both cases.
"""

from torch import nn

from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.prior import truncated_noise
from ganexp.games.request import Inputs


def set_truncation(game: Game, net: nn.Module, psi: float | None) -> None:
    """Sets psi of a generator with styles; of others it only checks that their latents can be truncated.

    Raises UserError where they cannot.
    """
    if psi is None:
        return
    if has_styles(net):
        net.truncation = psi  # type: ignore[assignment]
    elif game.prior is None:
        raise UserError(f"truncation={psi:g}: this run's generator takes no noise: leave truncation out")
    elif getattr(net, "normalises_latents", False):
        raise UserError(
            f"truncation={psi:g}: this run's generator divides z by its length, so that a truncated z changes "
            "little; leave truncation out, or train one with arch=stylegan2"
        )


def truncated(game: Game, net: nn.Module, inputs: Inputs, psi: float | None) -> Inputs:
    """Inputs of a generator whose noise is truncated; unchanged for one with styles, which truncates itself.

    Call ``set_truncation`` first.
    """
    if psi is None or has_styles(net) or game.prior is None:
        return inputs
    z, *others = inputs.args
    return inputs._replace(args=(truncated_noise(game.prior, z, psi), *others))


def has_styles(net: nn.Module) -> bool:
    """Whether a generator truncates its styles itself (``GeneratorBase.truncation``)."""
    return getattr(net, "truncation", None) is not None
