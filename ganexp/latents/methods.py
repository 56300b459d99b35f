"""Methods that find directions: what they are given, and the two that need no labels.

**SeFa** (Shen & Zhou 2021, equation 3): the unit vectors n that change the first layer's output W z + b most,

    max |W n|^2    =>    eigenvectors of W^T W, which are the right singular vectors of W,

by descending singular value. W are the rows of all layers that take the latents, joined: of StyleGAN2 all
affine layers from w to styles. ``normalise`` divides each row by its norm first, as the authors' program does.

**GANSpace** (Härkönen et al. 2020, section 2): the principal components of w; without styles those of the
activations of an early layer, V x, brought back to z by least squares: min over U of the sum of |U V x - z|^2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from sklearn.decomposition import IncrementalPCA
from torch import Tensor
from tqdm import tqdm

from ganexp.config.ranges import Count
from ganexp.errors import UserError
from ganexp.latents.directions import Directions, directions_of
from ganexp.latents.first_layers import look, recorded
from ganexp.latents.latent_space import LatentSpace


class Judge(Protocol):
    """What tells samples apart: a classifier of the data set's classes or attributes."""

    names: tuple[str, ...]

    def __call__(self, samples: np.ndarray) -> Tensor:
        """Log odds [N, K] of samples [N, ...] float32: above 0 where a sample is of class or attribute k."""
        ...


@dataclass(frozen=True)
class Task:
    """What directions are looked for in. ``label``: of all samples, [1] or [1, K]; None: random or none.

    ``judge``: makes the classifier, which may train it. ``rng``: what points are drawn from.
    """

    space: LatentSpace
    rng: torch.Generator
    batch_size: int
    judge: Callable[[], Judge]
    label: Tensor | None = None

    def draw(self, count: int) -> tuple[Tensor, Tensor | None]:
        """Random points [count, size] and their labels."""
        labels = self.space.random_labels(count, self.rng)
        if self.label is not None:
            labels = self.label.expand(count, *self.label.shape[1:])
        return self.space.draw(count, self.rng, labels), labels


class Method(Protocol):
    """A way to find directions."""

    def __call__(self, task: Task) -> Directions:
        """Raises UserError where it finds none."""
        ...


class SeFa:
    """See above. ``count``: directions that are kept."""

    def __init__(self, count: Count, normalise: bool) -> None:
        self._count, self._normalise = count, normalise

    def __call__(self, task: Task) -> Directions:
        weights = torch.cat(look(task.space).first).double()
        if self._normalise:
            weights = torch.nn.functional.normalize(weights[weights.norm(dim=1) > 0], dim=1)
        vectors, shares = closed_form(weights)
        kept = min(self._count, len(vectors))
        return directions_of("sefa", task.space, vectors[:kept], explained=shares[:kept])


def closed_form(weights: Tensor) -> tuple[Tensor, Tensor]:
    """The right singular vectors of W [outputs, size] as rows, largest first, and their shares of |W|^2.

    ``eigh``: W^T W is symmetric. (``eig`` would return them unsorted, and complex after rounding.)
    """
    values, columns = torch.linalg.eigh(weights.T @ weights)
    values, vectors = values.flip(0).clamp(min=0), columns.T.flip(0)
    return vectors, values / values.sum()


class GANSpace:
    """See above. ``samples``: points drawn; ``layer``: its input is taken apart, null: the first behind z."""

    def __init__(self, count: Count, samples: Count, layer: str | None) -> None:
        self._count, self._samples, self._layer = count, samples, layer

    def __call__(self, task: Task) -> Directions:
        space = task.space
        if self._samples <= self._count:
            raise UserError(f"method.samples={self._samples}: should be more than method.count={self._count}")
        points, labels = task.draw(self._samples)
        kept = min(self._count, space.size)
        if space.name == "w":
            vectors, shares = principal_components(points, kept)
            return directions_of("ganspace", space, vectors, explained=shares)
        coordinates, shares = self._activations(task, points, labels, kept)
        solution = torch.linalg.lstsq(coordinates, (points - points.mean(0)).double()).solution
        return directions_of("ganspace", space, solution, explained=shares)

    def _activations(
        self, task: Task, points: Tensor, labels: Tensor | None, kept: int
    ) -> tuple[Tensor, Tensor]:
        """The coordinates [N, kept] of a layer's inputs along their principal components, and their shares."""
        name = self._layer_name(task.space)
        kept = min(kept, self._inputs(task.space, name, points, labels, slice(0, 2)).shape[1])
        size = max(task.batch_size, 2 * kept)
        pca = IncrementalPCA(kept)
        starts = range(0, len(points) - size + 1, size)  # a smaller last batch has too few samples
        for start in tqdm(starts, desc="components", delay=1, disable=None, leave=False):
            pca.partial_fit(self._inputs(task.space, name, points, labels, slice(start, start + size)))
        if not len(starts):
            raise UserError(f"method.samples={len(points)}: too few: should be at least {size}")
        used = [slice(start, start + size) for start in range(0, len(points), size)]
        made = [pca.transform(self._inputs(task.space, name, points, labels, part)) for part in used]
        coordinates = torch.from_numpy(np.concatenate(made)).double()
        return coordinates, torch.from_numpy(pca.explained_variance_ratio_)

    def _layer_name(self, space: LatentSpace) -> str:
        behind = look(space).behind
        if self._layer is None and behind:
            return behind[0]
        if self._layer not in behind:
            raise UserError(f"method.layer={self._layer}: no such layer; there are {', '.join(behind)}")
        return self._layer

    @torch.no_grad()
    def _inputs(
        self, space: LatentSpace, name: str, points: Tensor, labels: Tensor | None, part: slice
    ) -> np.ndarray:
        with recorded(space.generator) as calls:
            space.images(points[part], None if labels is None else labels[part])
        (x,) = (call.x for call in calls if call.name == name)
        inputs: np.ndarray = x.flatten(1).float().cpu().numpy()
        return inputs


def principal_components(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first ``count`` principal components of points [N, size] as rows; their shares of the variance."""
    values, columns = torch.linalg.eigh(torch.cov(points.double().T).reshape(points.shape[1], -1))
    values = values.flip(0).clamp(min=0)
    return columns.T.flip(0)[:count], (values / values.sum())[:count]
