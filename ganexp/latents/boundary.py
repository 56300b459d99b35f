"""InterFaceGAN (Shen et al. 2020): the normal of a plane between samples with an attribute and without it.

Samples are scored by a classifier. Those with the highest and the lowest scores are told apart, in the latent
space, by a linear support vector machine; 70 % of them fit it, and the others say how well it does. The normal
is the direction in which the attribute appears. ``conditions`` are attributes that should not change with it:
the normal is made orthogonal to theirs (section 3.2).
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.svm import SVC
from torch import Tensor
from tqdm import tqdm, trange

from ganexp.config.ranges import Count, Labels, PositiveShare
from ganexp.errors import UserError, suggest
from ganexp.latents.directions import Directions, directions_of, projected
from ganexp.latents.methods import Judge, Task

_FITTED = 0.7
_FEWEST = 10
"""Samples of one side, at least."""

_PART = 1000
"""Samples that are made and scored at a time."""


class Boundary:
    """``attributes``: names of classes or attributes, null: all. ``samples``: how many are scored.

    ``share``: of them on each side, the highest and the lowest scores.
    """

    def __init__(
        self, attributes: Labels | None, conditions: Labels | None, samples: Count, share: PositiveShare
    ) -> None:
        self._attributes, self._conditions = _listed(attributes), _listed(conditions)
        self._samples, self._share = samples, share

    def __call__(self, task: Task) -> Directions:
        side = int(self._samples * self._share)
        if side < _FEWEST or 2 * side > self._samples:
            raise UserError(
                f"method.share={self._share:g}: {side} of {self._samples} samples on each side; choose a share "
                f"of at most 0.5, and {_FEWEST} samples at least"
            )
        judge = task.judge()
        names = _known(judge.names, self._attributes, "attributes") or list(judge.names)
        conditions = _known(judge.names, self._conditions, "conditions")
        points, labels = task.draw(self._samples)
        scores = self._scores(task, judge, points, labels)
        needed = tqdm(
            dict.fromkeys([*names, *conditions]), desc="boundaries", delay=1, disable=None, leave=False
        )
        fitted = {name: boundary(points, scores[:, judge.names.index(name)], side) for name in needed}
        vectors = torch.stack([fitted[name][0] for name in names])
        if conditions:
            free = [row for row, name in enumerate(names) if name not in conditions]
            fixed = torch.stack([fitted[name][0] for name in conditions])
            vectors[free] = projected(vectors[free], fixed)
        accuracies = torch.tensor([fitted[name][1] for name in names])
        return directions_of("boundary", task.space, vectors, tuple(names), accuracies=accuracies)

    def _scores(self, task: Task, judge: Judge, points: Tensor, labels: Tensor | None) -> Tensor:
        parts = []
        starts = range(0, len(points), _PART)
        for start in tqdm(starts, desc="samples", delay=1, disable=None, leave=False):
            part = slice(start, start + _PART)
            samples = task.space.samples(
                points[part], None if labels is None else labels[part], task.batch_size
            )
            parts.append(judge(samples))
        return torch.cat(parts)


def boundary(points: Tensor, scores: Tensor, side: int) -> tuple[Tensor, float]:
    """The unit normal [size] of the plane between the ``side`` points of the highest and the lowest scores [N].

    It points to the high ones. And its accuracy on the 30 % of both sides that it was not fitted to.
    """
    order = scores.argsort(stable=True)
    chosen = torch.cat([order[:side], order[-side:]])
    has = np.repeat([0, 1], side)
    shuffled = np.random.default_rng(0).permutation(2 * side)
    cut = round(_FITTED * 2 * side)
    x = points[chosen].double().numpy()
    scale = x.std(0).mean() or 1.0  # w may be of any scale, and a machine's margin is not
    machine = SVC(kernel="linear").fit(x[shuffled[:cut]] / scale, has[shuffled[:cut]])
    accuracy = float(machine.score(x[shuffled[cut:]] / scale, has[shuffled[cut:]]))
    normal = torch.tensor(machine.coef_[0])
    return torch.nn.functional.normalize(normal, dim=0).float(), accuracy


SAMPLES_OF_EFFECTS = 200
"""Samples by which the effects of directions are measured."""


@dataclass(frozen=True)
class Effects:
    """What the judge makes of samples moved along K directions.

    ``shares`` [K, 3] in [0, 1]: the share that is of the direction's own class or attribute, moved by -reach, 0
    and reach. ``changed`` [K, A] in [0, 1]: each sample moved to the other side, by -reach where it has the
    direction's own attribute and by reach where it has not: the share for which the answer to each of the A
    attributes changes. ``own`` [K]: which of the A attributes is the direction's.
    """

    shares: Tensor
    changed: Tensor
    own: Tensor

    @property
    def others(self) -> Tensor:
        """``changed`` [K, A] with 0 for a direction's own attribute."""
        return self.changed.scatter(1, self.own[:, None], 0.0)


def effects(found: Directions, task: Task, reach: float) -> Effects:
    """The effects of directions that are named after classes or attributes, on 200 samples."""
    judge = task.judge()
    points, labels = task.draw(SAMPLES_OF_EFFECTS)
    own = torch.tensor([judge.names.index(name) for name in found.names])
    shares, changed = [], []
    for row in trange(len(own), desc="effects", delay=1, disable=None, leave=False):
        moved = [found.moved(points, row, strength) for strength in (-reach, 0.0, reach)]
        less, unmoved, more = (judge(task.space.samples(p, labels, task.batch_size)) > 0 for p in moved)
        other_side = torch.where(unmoved[:, own[row], None], less, more)
        shares.append(torch.stack([answers[:, own[row]].float().mean() for answers in (less, unmoved, more)]))
        changed.append((other_side != unmoved).float().mean(0))
    return Effects(torch.stack(shares), torch.stack(changed), own)


def _listed(names: Labels | None) -> list[str]:
    several = names if isinstance(names, list) else [] if names is None else [names]
    return list(dict.fromkeys(map(str, several)))


def _known(known: tuple[str, ...], names: list[str], setting: str) -> list[str]:
    """The names of classes or attributes, which may be given by number. Raises UserError."""
    found = []
    for name in names:
        if name not in known and not (name.isdecimal() and int(name) < len(known)):
            raise UserError(f"method.{setting}: {name}: no such class or attribute; {suggest(name, known)}")
        found.append(name if name in known else known[int(name)])
    return list(dict.fromkeys(found))
