"""The result of ``ganexp moredata``: arms, the choice of a share, differences, and what they say in words.

The share of generated images is chosen by the accuracy on validation images: the arm that is reported for it
has not been chosen by the images that it is tested with.

Where there are several runs, values are averaged over the classifiers of each, because classifiers of one
generator are not independent of each other.
"""

from typing import NamedTuple

import numpy as np

from ganexp.compare.formatting import NONE, number
from ganexp.compare.statistics import Mean, t_mean_of
from ganexp.compare.tables import Cell, Table

USUAL = "augmented"
"""The arm that the others are compared with."""


class ArmResult(NamedTuple):
    """Accuracies in [0, 1] of one arm, [runs][seeds], and the updates that each of its classifiers took."""

    name: str
    share: float
    validation: list[list[float]]
    test: list[list[float]]
    updates: int

    def values(self) -> np.ndarray:
        """Test accuracies in percent: of each seed of a single run, or else the mean of each run."""
        found = 100 * np.array(self.test)
        values: np.ndarray = found[0] if len(found) == 1 else found.mean(1)
        return values


class Outcome(NamedTuple):
    """Everything that was measured."""

    arms: list[ArmResult]
    runs: list[str]
    seeds: int
    images: int
    """Real images of each class."""
    tested: str
    validated: int
    """Validation images."""

    def arm(self, name: str) -> ArmResult:
        """The arm without generated images of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def generated(self) -> list[ArmResult]:
        """The arms with generated images."""
        return [arm for arm in self.arms if arm.share > 0]

    @property
    def chosen(self) -> ArmResult:
        """The arm with generated images of the highest mean validation accuracy; of equal ones the first."""
        return max(self.generated, key=lambda arm: float(np.mean(arm.validation)))

    @property
    def unit(self) -> str:
        """What a value of the statistics is of."""
        return "classifiers of one GAN" if len(self.runs) == 1 else "GANs"

    def difference(self, arm: ArmResult) -> Mean:
        """Its paired difference to the usual augmentation, in points."""
        return t_mean_of(arm.values() - self.arm(USUAL).values())


def sentence(outcome: Outcome) -> str:
    """Whether generated images help, with the difference, its interval and its circumstances."""
    chosen = outcome.chosen
    found = outcome.difference(chosen)
    at = f"at n={outcome.images:,} images per class"
    if found.low is None or found.high is None:
        return f"it cannot be told {at}: {points(found)} of one classifier; set seeds=5, or give several runs"
    measured = (
        f"{points(found)} against the usual augmentation {at}, with a share of {chosen.share:g} generated "
        f"images (chosen on validation images; {found.n} {outcome.unit})"
    )
    if found.low > 0:
        return f"it helps: {measured}"
    return f"it does harm: {measured}" if found.high < 0 else f"it does not help: {measured}"


def points(mean: Mean) -> str:
    """``+1.23 points [0.12, 2.34]``."""
    interval = "" if mean.low is None or mean.high is None else f" [{mean.low:+.2f}, {mean.high:+.2f}]"
    return f"{mean.mean:+.2f} points{interval}"


def table(outcome: Outcome) -> Table:
    """A row per arm, and one for the share that was chosen."""
    usual = outcome.arm(USUAL)
    rows = [_row(outcome, arm, _name(arm), usual) for arm in outcome.arms]
    chosen = outcome.chosen
    name = f"generated, share chosen on validation: {chosen.share:g}"
    rows.append(_row(outcome, chosen, name, usual))
    headings = ["trained with", "accuracy %", "against augmented, points", "n", "validation accuracy %"]
    return Table("Accuracy on test images", headings, rows)


def _name(arm: ArmResult) -> str:
    return f"generated, share {arm.share:g}" if arm.share else arm.name


def _row(outcome: Outcome, arm: ArmResult, name: str, usual: ArmResult) -> list[Cell]:
    mean = t_mean_of(arm.values())
    interval = "" if mean.low is None or mean.high is None else f" [{number(mean.low)}, {number(mean.high)}]"
    compared = NONE if arm is usual else points(outcome.difference(arm)).replace(" points", "")
    return [
        Cell(name),
        Cell(f"{number(mean.mean)}{interval}", mean.mean),
        Cell(compared),
        Cell(str(mean.n), mean.n),
        Cell(number(100 * float(np.mean(arm.validation)))),
    ]
