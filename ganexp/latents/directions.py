"""Directions in a latent space, along which samples change in one respect; and their file in a run's folder.

run = open_run(cfg)
found = load_directions(run.folder, "sefa", space)
images = space.images(found.moved(points, number=3, strength=2.0))
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganexp.errors import UserError, suggest
from ganexp.latents.latent_space import LatentSpace, SpaceName
from ganexp.system.atomic import read_regular, replacing

_FORMAT = 1
_MAX_BYTES = 100_000_000
_MAX_DIRECTIONS = 10_000


@dataclass(frozen=True)
class Directions:
    """K directions of the space ``latents``.

    ``vectors`` [K, size] float32, unit vectors. ``deviations`` [K]: the standard deviation of points along
    each, which is the unit of a strength. ``explained`` [K]: the share of what the method takes apart, or nan.
    ``accuracies`` [K]: of a boundary, on samples that it was not fitted to, or nan. ``names``: of each.
    ``weights``: ``LatentSpace.weights`` of the generator that they were found with; None of older files.
    """

    method: str
    latents: SpaceName
    vectors: Tensor
    deviations: Tensor
    names: tuple[str, ...]
    explained: Tensor
    accuracies: Tensor
    weights: str | None

    def number(self, direction: int | str) -> int:
        """The number of a direction that is given by its number or name. Raises UserError."""
        if str(direction) in self.names:
            return self.names.index(str(direction))
        if isinstance(direction, int) and 0 <= direction < len(self.names):
            return direction
        hint = suggest(str(direction), self.names)
        raise UserError(f"direction={direction}: {self.method} found 0 to {len(self.names) - 1}; {hint}")

    def moved(self, points: Tensor, number: int, strength: float | Tensor) -> Tensor:
        """Points [N, ..., size] moved by ``strength`` (one, or [N]) standard deviations; 0 changes nothing."""
        step = self.deviations[number] * self.vectors[number]
        amount = torch.as_tensor(strength, dtype=points.dtype).reshape(-1, *[1] * (points.dim() - 1))
        return points + amount * step


def directions_of(
    method: str,
    space: LatentSpace,
    vectors: Tensor,
    names: tuple[str, ...] | None = None,
    *,
    explained: Tensor | None = None,
    accuracies: Tensor | None = None,
) -> Directions:
    """Directions of a space from vectors [K, size] of any length. Their names are by default numbers.

    Raises UserError where one has no length, or points do not differ along it.
    """
    unit = torch.nn.functional.normalize(vectors.double(), dim=1).float()
    deviations = space.deviation_along(unit)
    if not bool((unit.norm(dim=1) > 0.5).all() and (deviations > 0).all()):
        raise UserError("points do not differ along a direction: choose a larger truncation")
    nothing = torch.full((len(unit),), math.nan)
    return Directions(
        method,
        space.name,
        unit,
        deviations,
        tuple(map(str, range(len(unit)))) if names is None else names,
        nothing if explained is None else explained.float(),
        nothing if accuracies is None else accuracies.float(),
        space.weights,
    )


def projected(vectors: Tensor, conditions: Tensor) -> Tensor:
    """What is left of vectors [K, size] without their parts along ``conditions`` [M, size], as unit vectors.

    n - sum over an orthonormal basis m of the conditions of (n m) m (Shen et al. 2020, section 3.2). Raises
    UserError where nothing is left.
    """
    basis, spread, _ = torch.linalg.svd(conditions.double().T, full_matrices=False)
    basis = basis[:, spread > 1e-6 * spread.max()]  # conditions may depend on one another
    left = vectors.double() - vectors.double() @ basis @ basis.T
    if bool((left.norm(dim=1) < 1e-6 * vectors.double().norm(dim=1)).any()):
        raise UserError("conditions: nothing is left of a direction: it is a combination of the conditions")
    return torch.nn.functional.normalize(left, dim=1).float()


def directions_file(folder: Path, method: str) -> Path:
    """The file of a method's directions in a run's folder."""
    return folder / "directions" / f"{method}.json"


def save_directions(found: Directions, folder: Path, record: Mapping[str, Any]) -> Path:
    """Replaces the method's file in a run's folder. ``record``: how they were found. Raises OSError."""
    file = directions_file(folder, found.method)
    rows = [
        {
            "name": name,
            "explained": _number(found.explained[row]),
            "accuracy": _number(found.accuracies[row]),
            "deviation": _number(found.deviations[row]),
            "vector": found.vectors[row].tolist(),
        }
        for row, name in enumerate(found.names)
    ]
    about = {"format": _FORMAT, "method": found.method, "latents": found.latents, "weights": found.weights}
    content = {**about, **record, "directions": rows}
    with replacing(file, folder) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
    return file


def load_directions(folder: Path, method: str, space: LatentSpace) -> Directions:
    """The directions of a method in a run's folder, for this space. Raises UserError."""
    file = directions_file(folder, method)
    if not file.exists():
        raise UserError(f"method={method}: {file} is not there; ganexp directions method={method} makes it")
    try:
        content = json.loads(read_regular(file, _MAX_BYTES))
        found = _from_json(content)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        raise UserError(f"{file} is damaged: ganexp directions makes it again") from None
    if found.latents != space.name:
        told = f"{file} has directions of {found.latents}"
        raise UserError(f"latents={space.name}: {told}: set latents={found.latents}")
    size = found.vectors.shape[1]
    if size != space.size:
        raise UserError(f"{file} has directions of {size} numbers, and points of this run have {space.size}")
    return found


def _from_json(content: Any) -> Directions:
    """Raises ValueError, TypeError or KeyError for anything that ``save_directions`` does not write."""
    rows = content["directions"]
    if content["format"] != _FORMAT or content["latents"] not in ("z", "w"):
        raise ValueError
    if not 0 < len(rows) <= _MAX_DIRECTIONS:
        raise ValueError
    vectors = torch.tensor([row["vector"] for row in rows], dtype=torch.float32)
    names, method = tuple(row["name"] for row in rows), content["method"]
    if vectors.dim() != 2 or not all(isinstance(name, str) for name in (*names, method)):
        raise ValueError
    if not bool(((vectors.norm(dim=1) - 1).abs() < 1e-3).all()):
        raise ValueError
    deviations, explained, accuracies = (
        torch.tensor([math.nan if row[key] is None else row[key] for row in rows], dtype=torch.float32)
        for key in ("deviation", "explained", "accuracy")
    )
    if not bool(deviations.isfinite().all()):
        raise ValueError
    weights = content.get("weights")
    if not isinstance(weights, str | None):
        raise ValueError
    return Directions(method, content["latents"], vectors, deviations, names, explained, accuracies, weights)


def _number(value: Tensor) -> float | None:
    """A number for JSON, which has no nan."""
    number = float(value)
    return number if math.isfinite(number) else None
