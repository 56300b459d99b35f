"""From ``label``, ``code`` and ``along`` of the verbs that explore latents to what each walk is of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from ganexp.cli.requested import plain
from ganexp.cli.requested_each import request_of_each
from ganexp.cli.requested_labels import RequestedLabels
from ganexp.config.sample_values import number_range, whole_range
from ganexp.errors import UserError
from ganexp.latents.latent_space import LatentSpace
from ganexp.system.rng import seed_for
from ganexp.training.load import OpenedRun


@dataclass(frozen=True)
class Walkers:
    """What W walks are of. ``labels`` [W] or [W, K], None without; ``codes``: values [W] by number.

    ``alike``: whether they have the same noise, because they differ in their labels.
    """

    count: int
    labels: Tensor | None
    codes: dict[int, Tensor]
    alike: bool

    def label(self, walk: int) -> Tensor | None:
        """The label of one walk, [1] or [1, K]."""
        return None if self.labels is None else self.labels[walk : walk + 1]

    def draw(self, space: LatentSpace, walk: int, count: int, seed: int) -> Tensor:
        """Random points [count, size] of one walk; they have the same label and codes. Raises UserError."""
        rng = torch.Generator().manual_seed(seed_for(seed, f"walk {0 if self.alike else walk}"))
        label = self.label(walk)
        labels = None if label is None else label.expand(count, *label.shape[1:])
        codes = {number: values[walk].expand(count) for number, values in self.codes.items()}
        return space.draw_with_one_code(count, rng, labels, codes)


def walkers(cfg: DictConfig, walks: int, space: LatentSpace, run: OpenedRun) -> Walkers:
    """Several labels make a walk each; without any, a conditional run's are random. Raises UserError."""
    asked, codes = plain(cfg.label), plain(cfg.code) or {} if "code" in cfg else {}
    for number, value in codes.items():
        if isinstance(value, list) or number_range(value) is not None:
            raise UserError(f"code.{number}={value}: should be one value; ganexp sample makes rows of several")
    alike = False
    if asked is not None and not isinstance(asked, Mapping):
        asked = RequestedLabels(space.game, run).numbers(asked)
        alike = len(asked) > 1
        if alike and walks not in (1, len(asked)):
            raise UserError(f"label: {len(asked)} labels make a walk each, and there are {walks} already")
        walks = max(walks, len(asked))
    request = request_of_each(walks, asked, codes, space.game, run)
    labels = request.label
    if labels is None:
        labels = space.random_labels(walks, torch.Generator().manual_seed(seed_for(cfg.seed, "labels")))
    return Walkers(walks, labels, dict(request.codes), alike)


def numbers_along(along: Any, space: LatentSpace) -> list[int]:
    """The numbers of points that ``along`` names. Raises UserError for those that points do not have."""
    along = plain(along)
    parts = along if isinstance(along, list) else [along]
    numbers = [number for part in parts for number in _numbers(part, space)]
    if max(numbers) >= space.size:
        raise UserError(f"along={max(numbers)}: points of {space.name} have the numbers 0 to {space.size - 1}")
    return numbers


def _numbers(part: Any, space: LatentSpace) -> list[int]:
    if isinstance(part, int):
        return [part]
    several = whole_range(part)
    if several is not None:
        return list(several)
    code, kinds = int(str(part).partition(".")[2]), space.game.code_kinds
    if code >= len(kinds):
        known = (
            f"this run's codes are 0 to {len(kinds) - 1}"
            if kinds
            else "this run has no codes; train game=infogan"
        )
        raise UserError(f"along={part}: {known}")
    if kinds[code]:
        raise UserError(
            f"along={part}: this code has categories: ganexp sample code.{code}=0..{kinds[code] - 1}"
        )
    if space.name == "w":
        raise UserError(f"along={part}: codes are a part of z: set latents=z")
    return [space.noise_size + sum(kinds[:code]) + sum(kind == 0 for kind in kinds[:code])]
