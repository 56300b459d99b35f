"""Weights between two networks: network interpolation (Wang et al. 2018, section 3.4; Wang et al. 2019).

    theta = (1 - alpha) theta_other + alpha theta

Between a network trained by a content loss and the same one after adversarial training, alpha trades what is
close to the target for what looks sharp. Networks that were trained independently give nothing of use.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from ganexp.errors import UserError
from ganexp.runs.stored_checkpoints import resolve_checkpoint


def blend_weights(other: Mapping[str, Tensor], own: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """(1 - alpha) * other + alpha * own of two ``state_dict``s; with 0 and 1 exactly one of them.

    What is no floating-point number, such as a counter, is ``own``'s. Raises UserError for other names or
    shapes.
    """
    for name in sorted(other.keys() | own.keys()):
        if name not in other or name not in own:
            raise UserError(f"the networks differ: only one of them has {name}")
        if other[name].shape != own[name].shape:
            shapes = f"{list(other[name].shape)} and {list(own[name].shape)}"
            raise UserError(f"the networks differ: the shapes of {name} are {shapes}")
    return {
        name: torch.lerp(other[name], weight, alpha) if weight.is_floating_point() else weight
        for name, weight in own.items()
    }


def blended(content: dict[str, Any], blend: DictConfig) -> dict[str, Any]:
    """A checkpoint's content with its averaged weights mixed with those of ``blend.run``, if there is one.

    Raises UserError where that run has no checkpoint, or other networks.
    """
    if blend.run is None:
        return content
    found = resolve_checkpoint(Path(blend.run).expanduser() / "checkpoints", "last")
    try:
        return content | {"ema": blend_weights(found.content["ema"], content["ema"], blend.alpha)}
    except (UserError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"blend.run={blend.run}: {error}; both runs need the same arch") from None
