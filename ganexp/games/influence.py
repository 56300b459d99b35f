"""How much a generator's output changes with each of its conditions, such as the label or a code.

    influence = sqrt(E |G(r, a) - G(r, b)|^2 / (2 Var G))

in which a and b are independent values of one condition, and r is everything else: the square root of its total
Sobol index (Homma & Saltelli 1996), by Jansen's estimator (1999). It is 0 for a generator that ignores the
condition, and about 1 where nothing else matters.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from ganexp.games.request import Inputs
from ganexp.games.sampling import generate

IGNORED = 0.02
"""Below this influence a generator is said to ignore a condition."""

_TAG = "influence/"


def influences(
    generator: nn.Module, pairs: Mapping[str, Inputs], batch_size: int, device: torch.device
) -> dict[str, float]:
    """``influence/<condition>`` for each of the ``pairs`` that ``Game.condition_pairs`` made."""
    found = {}
    for name, inputs in pairs.items():
        samples = generate(generator, inputs, batch_size, device)
        change = float(np.square(samples[1::2] - samples[0::2], dtype=np.float64).mean())
        spread = 2 * float(samples.var(0, dtype=np.float64, ddof=1).mean())
        found[_TAG + name] = (change / spread) ** 0.5 if spread else 0.0
    return found


def influence_text(scalars: Mapping[str, float]) -> str | None:
    """Such as ``influence label 0.91``; None without conditions."""
    found = [f"{name} {value:.2f}" for name, value in _by_condition(scalars).items()]
    return f"influence {' '.join(found)}" if found else None


def ignored_conditions(scalars: Mapping[str, float]) -> str | None:
    """One line that names the conditions that the generator ignores; None if there is none."""
    ignored = [f"{name} ({value:.1%})" for name, value in _by_condition(scalars).items() if value < IGNORED]
    if not ignored:
        return None
    return (
        f"the generator ignores {', '.join(ignored)}: its samples change by this share of their distance from "
        "one another. If that stays so, try a lower optim.lr, or a larger weight of what depends on it"
    )


def _by_condition(scalars: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix(_TAG): value for name, value in scalars.items() if name.startswith(_TAG)}
