"""The result of a comparison as numbers: scores of each group over its seeds, and differences of groups."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from ganexp.compare.groups import Comparison, Group, seed_of
from ganexp.compare.measures import DIVERSITY, EXTRA, Measured, measured, ordered, scores_of
from ganexp.compare.statistics import ALPHA, Difference, Mean, difference, holm, least_p, mean_of
from ganexp.errors import UserError, suggest
from ganexp.metrics.directions import Direction
from ganexp.runs.saved_run import SavedRun

By = Literal["best", "final"]

_ALARMS = {"collapsed": "collapsed", "vanished": "critic won", "nonfinite": "not finite"}


@dataclass(frozen=True)
class Summary:
    """The mean of a score over those runs of a group that have it; None where no run has."""

    best: Mean | None
    final: Mean | None


@dataclass(frozen=True)
class Standing:
    """A group with its scores and outcomes."""

    group: Group
    scores: dict[str, Summary]

    @property
    def label(self) -> str:
        return self.group.label

    @property
    def outcomes(self) -> dict[str, int]:
        """The number of runs by outcome, the most frequent first."""
        return dict(Counter(outcome(run) for run in self.group.runs).most_common())

    @property
    def unfinished(self) -> bool:
        """Whether some run has not finished, so that these numbers may still change."""
        return any(run.status != "finished" for run in self.group.runs)


@dataclass(frozen=True)
class Pair:
    """The difference of two groups in the main score; ``corrected`` is p after Holm's correction."""

    one: str
    other: str
    difference: Difference
    corrected: float


@dataclass(frozen=True)
class Result:
    """One comparison by its main score ``metric``, the best group first."""

    comparison: Comparison
    metric: str
    by: By
    names: list[str]
    standings: list[Standing]
    pairs: list[Pair]

    def direction(self, name: str) -> Direction:
        """The direction of a score, from the first run that knows it; ``unknown`` if none does."""
        return direction_in(self.comparison, name)

    @property
    def better(self) -> Direction:
        return self.direction(self.metric)

    def main(self, standing: Standing) -> Mean | None:
        """The value that a group is ranked by."""
        summary = standing.scores[self.metric]
        return summary.best if self.by == "best" else summary.final


def compare(comparison: Comparison, wanted: str | None, by: By) -> Result:
    """Ranks a comparison's groups by the score ``wanted``, or else by the first that all groups have."""
    names = [*scores_of(comparison.runs), *EXTRA]
    measurements = {
        group.label: {name: [measured(run, name) for run in group.runs] for name in names}
        for group in comparison.groups
    }
    metric = wanted or _default_metric(names, list(measurements.values()))
    if metric not in names:
        names.insert(0, metric)
        for of_group in measurements.values():
            of_group[metric] = []
    direction = direction_in(comparison, metric)
    if direction == "unknown" or metric in EXTRA:
        by = "final"  # without a direction there is no best
    standings = [
        Standing(group, {name: _summary(measurements[group.label][name]) for name in names})
        for group in comparison.groups
    ]
    result = Result(comparison, metric, by, names, standings, [])
    values = [(standing.label, mean.mean) for standing in standings if (mean := result.main(standing))]
    ranks = ordered(values, direction)
    standings.sort(key=lambda standing: ranks.index(standing.label) if standing.label in ranks else len(ranks))
    result.pairs.extend(_pairs([standing.group for standing in standings], metric, by))
    return result


def direction_in(comparison: Comparison, name: str) -> Direction:
    """The direction of a score, from the first run that knows it; ``unknown`` if none does."""
    directions = (run.direction(name) for run in comparison.runs)
    return next((direction for direction in directions if direction != "unknown"), "unknown")


def checked_metric(wanted: str | None, records: Sequence[SavedRun]) -> str | None:
    """The score's name without prefixes such as ``score/``. Raises UserError where no run has it."""
    if wanted is None:
        return None
    name = wanted.removeprefix("score/").removeprefix("sentinel/").removeprefix("speed/")
    known = [*scores_of(records), *EXTRA]
    if name not in known:
        raise UserError(f"metric={wanted}: no run has such a score; {suggest(name, known)}")
    return name


def outcome(run: SavedRun) -> str:
    """How a run ended: ``finished``, ``interrupted``, ``finished but collapsed`` ..."""
    kinds = " and ".join(_ALARMS[kind] for kind in dict.fromkeys(alarm_kinds(run)) if kind in _ALARMS)
    if not kinds:
        return run.status
    return f"finished but {kinds}" if run.status == "finished" else f"{run.status} and {kinds}"


def alarms_of(run: SavedRun) -> list[dict[str, object]]:
    """The well-formed alarms of a manifest, which may be untrusted."""
    return [alarm for alarm in run.manifest.get("alarms", []) if isinstance(alarm, dict)]


def alarm_kinds(run: SavedRun) -> list[str]:
    """The kinds of a run's alarms, in the order in which they were raised."""
    return [str(alarm.get("kind", "")) for alarm in alarms_of(run)]


def _default_metric(names: Sequence[str], groups: Sequence[dict[str, list[Measured]]]) -> str:
    """The first score that all groups have, else the first that any group has, else the diversity."""
    scores = [name for name in names if name not in EXTRA]
    having = {name: sum(any(run != (None, None) for run in of[name]) for of in groups) for name in scores}
    everywhere = [name for name in scores if having[name] == len(groups)]
    somewhere = [name for name in scores if having[name]]
    return [*everywhere, *somewhere, DIVERSITY][0]


def _summary(runs: Sequence[Measured]) -> Summary:
    best = [run.best for run in runs if run.best is not None]
    final = [run.final for run in runs if run.final is not None]
    return Summary(mean_of(best) if best else None, mean_of(final) if final else None)


def _pairs(groups: Sequence[Group], metric: str, by: By) -> list[Pair]:
    """The differences of all pairs of groups with at least two values, in the order of rank."""
    values = {group.label: _by_seed(group, metric, by) for group in groups}
    testable = [label for label, found in values.items() if len(found) > 1]
    compared = [(one, other) for one, other in combinations(testable, 2)]
    found = [_difference(values[one], values[other], len(compared)) for one, other in compared]
    corrected = holm([each.p for each in found])
    return [Pair(*names, each, p) for names, each, p in zip(compared, found, corrected, strict=True)]


def _by_seed(group: Group, metric: str, by: By) -> list[tuple[str, float]]:
    measurements = [(seed_of(run), measured(run, metric)) for run in group.runs]
    values = [(seed, run.best if by == "best" else run.final) for seed, run in measurements]
    return [(seed, value) for seed, value in values if value is not None]


def _difference(
    one: Sequence[tuple[str, float]], other: Sequence[tuple[str, float]], comparisons: int
) -> Difference:
    """A paired test where both have the same seeds, and enough that p can fall below 0.05 after correction.

    Five pairs give p = 0.0625 at best, where 5 against 5 independent runs give 0.008. The choice depends only
    on the number of runs, never on their values, so that it does not bias p.
    """
    x, y = dict(one), dict(other)
    same_seeds = x.keys() == y.keys() and len(x) == len(one) and len(y) == len(other)
    if same_seeds and least_p(len(x), None) * comparisons < ALPHA:
        return difference([x[seed] for seed in x], [y[seed] for seed in x], paired=True)
    return difference([value for _, value in one], [value for _, value in other], paired=False)
