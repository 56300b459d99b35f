"""The result of a comparison in sentences."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from ganexp.compare.groups import seed_of, written
from ganexp.compare.measures import DIVERSITY, has_scores
from ganexp.compare.results import Pair, Result, Standing, kinds_of
from ganexp.compare.statistics import ALPHA, Mean, runs_needed
from ganexp.runs.saved_run import SavedRun

NONE = "\N{EN DASH}"

_NAMED = 10  # differences, or runs without scores, that are listed individually

METHOD = (
    "Runs that differ in nothing but the seed form a group. Best is a run's best value over its evaluations, "
    "final its last one; both are means over the group's runs, with 95 % bootstrap intervals (BCa, 9,999 "
    "resamples, fixed seed). Such intervals are too narrow for few runs: of normally distributed scores they "
    "hold the true mean in about 72 % of cases with 3 runs, 84 % with 5, 90 % with 10.",
    "Differences between groups are tested by permutation, two-sided: every relabelling where there are at "
    "most 20,000, else as many drawn at random; Holm's method corrects p over all pairs of a table. Where "
    "two groups have the same seeds, the test flips signs within the pairs, if these are so many that p could "
    "get below 0.05; otherwise runs count as independent. Their number alone decides that.",
    "Unfinished runs count with what they have so far; failed and collapsed ones count too. A score that was "
    "infinite at the end has no final value, and n tells how many runs the mean is over.",
)


def number(value: float) -> str:
    """Four digits; whole numbers without decimals; ``inf`` where a mean of huge values overflowed."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.4g}"


def estimate(mean: Mean | None, runs: int | None = None) -> str:
    """``12.34 [11.02, 13.90]``, followed by ``(n=2)`` where the mean is not over all ``runs``."""
    if mean is None:
        return NONE
    interval = "" if mean.low is None or mean.high is None else f" [{number(mean.low)}, {number(mean.high)}]"
    return f"{number(mean.mean)}{interval}" + (f" (n={mean.n})" if runs not in (None, mean.n) else "")


def p_value(p: float) -> str:
    """``p = 0.012``; never 0."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def counts(standing: Standing) -> str:
    """``3 runs: 2 finished, 1 finished but collapsed``."""
    total = len(standing.group.runs)
    return f"{runs(total)}: {', '.join(f'{count} {kind}' for kind, count in standing.outcomes.items())}"


def runs(count: int) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count} run" + ("" if count == 1 else "s")


def direction(result: Result) -> str:
    """``fid_cnn, lower is better``."""
    if result.metric == DIVERSITY:
        return f"{DIVERSITY} at the end, 1 is that of real samples"
    told = "unknown which direction is better" if result.better == "unknown" else f"{result.better} is better"
    return f"{result.metric} at its {result.by}, {told}"


def headline(result: Result) -> str:
    """The result in one sentence."""
    first = result.standings[0]
    mean = result.main(first)
    where = result.comparison.name
    if mean is None:
        answer = f"no run on {where} has {result.metric}"
    elif len(result.standings) == 1:
        answer = f"{first.label} on {where}: {result.metric} {estimate(mean)}"
    elif result.better == "unknown":
        answer = f"{len(result.standings)} groups on {where}; nothing says which {result.metric} is better"
    elif len(leaders := [each.label for each in result.standings if _same(result.main(each), mean)]) > 1:
        answer = f"{', '.join(leaders)} share the best {result.metric} on {where}: {number(mean.mean)}"
    else:
        answer = f"{first.label} has the best {result.metric} on {where}: {estimate(mean)}; {_beaten(result)}"
    return "; ".join([answer, *_mishaps(result)])


def claims(result: Result) -> list[str]:
    """Which differences are larger than chance, and where too few runs make that impossible."""
    if len(result.standings) < 2:
        return []
    if not result.pairs:
        return ["No two groups have two runs with this score, so nothing can be said about chance: add seeds."]
    real = [pair for pair in result.pairs if pair.corrected < ALPHA]
    told = [_claim(pair, result) for pair in real[:_NAMED]]
    if len(real) > _NAMED:
        told.append(f"And {len(real) - _NAMED} more differences are larger than chance: the table has them.")
    rest = len(result.pairs) - len(real)
    if rest:
        told.append(f"{rest} of {len(result.pairs)} differences may be chance.")
    return told + _limits(result.pairs)


def warnings(result: Result) -> list[str]:
    """Reasons to doubt the comparison, such as different numbers of images."""
    members = result.comparison.runs
    found = []
    images = [run.images for run in members]
    if max(images) > 1.01 * min(images):
        found.append(
            f"The runs saw different numbers of images, {min(images):,} to {max(images):,}: "
            "those that saw more had more time to get better."
        )
    for key in _ways_of_scoring(members):
        values = dict.fromkeys(written(run.config[key]) for run in members if key in run.config)
        found.append(f"Scores were not taken alike: {key} is {' or '.join(values)}.")
    for standing in result.standings:
        twice = [seed for seed, n in Counter(map(seed_of, standing.group.runs)).items() if n > 1]
        if twice:
            found.append(
                f"{standing.label} has seed {', '.join(twice)} more than once: those runs are no independent "
                "replicates, and intervals and p are too small."
            )
    return found + _without_scores(members)


def _same(one: Mean | None, other: Mean) -> bool:
    return one is not None and one.mean == other.mean


def _beaten(result: Result) -> str:
    """Names the groups than which the best one is better beyond chance."""
    best = result.standings[0].label
    beaten = [pair for pair in result.pairs if pair.one == best and pair.corrected < ALPHA]
    if not result.pairs:
        return "one run each says nothing about chance"
    if not beaten:
        return "better than no other beyond chance"
    names = [pair.other for pair in beaten]
    others = ", ".join(names) if len(names) < 4 else f"{len(names)} of {len(result.standings) - 1} others"
    largest = max(pair.corrected for pair in beaten)
    return f"better than {others} beyond chance ({p_value(largest).replace('=', '≤', len(names) > 1)})"


def _mishaps(result: Result) -> list[str]:
    members = result.comparison.runs
    total = len(members)
    kinds = {"collapsed": "collapsed", "vanished": "had a critic that won"}
    found = [
        f"{n} of {total} runs {word}"
        for kind, word in kinds.items()
        if (n := sum(kind in kinds_of(run) for run in members))
    ]
    statuses = Counter(run.status for run in members if run.status != "finished")
    return found + [f"{n} of {total} runs {_VERBS[status]}" for status, n in statuses.items()]


_VERBS = {
    "running": "still running",
    "interrupted": "interrupted",
    "failed": "failed",
    "diverged": "diverged",
    "unknown": "in an unknown state",
}


def _claim(pair: Pair, result: Result) -> str:
    found = pair.difference
    interval = estimate(Mean(found.mean, found.low, found.high, 0))
    verb = "differs from" if result.better == "unknown" else "is better than"
    return (
        f"{pair.one} {verb} {pair.other} beyond chance: a difference of {interval} in {result.metric}, "
        f"{p_value(pair.corrected)}."
    )


def _limits(pairs: Sequence[Pair]) -> list[str]:
    """A sentence that no difference could have reached p < 0.05 with so few runs, where that is the case."""
    least, count = min(pair.difference.least for pair in pairs), len(pairs)
    if least * count < ALPHA:
        return []
    corrected = f", and after correction for {count} pairs {min(1.0, least * count):.2g}" if count > 1 else ""
    return [
        f"So few runs can never show one, however large: the smallest p that they can give is {least:.2g}"
        f"{corrected}. With {runs_needed(count)} runs in each group it could be below 0.05."
    ]


def _ways_of_scoring(members: Iterable[SavedRun]) -> list[str]:
    """Keys of evaluate, features and metrics whose values differ between the runs that have them."""
    values: dict[str, set[str]] = {}
    for run in members:
        for key, value in run.config.items():
            if key.startswith(("evaluate.", "features.", "metrics.")) and ".best." not in key:
                values.setdefault(key, set()).add(repr(value))
    return [key for key, found in values.items() if len(found) > 1 and "published" not in key]


def _without_scores(members: Sequence[SavedRun]) -> list[str]:
    """A sentence about runs without scores, with the reason where the configuration shows it."""
    missing = [run for run in members if not has_scores(run)]
    if not missing:
        return []
    told = f"{len(missing)} of {runs(len(members))} left no score"
    if all("evaluate.every" in run.config and run.config["evaluate.every"] is None for run in missing):
        told += ": evaluate.every=null took none. Diversity and speed are shown"
    elif len(missing) <= _NAMED:
        told += ": " + ", ".join(run.folder.name for run in missing)
    return [f"{told}."]
