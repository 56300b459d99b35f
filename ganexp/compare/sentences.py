"""The result of a comparison in sentences."""

from collections import Counter
from collections.abc import Iterable, Sequence

from ganexp.compare.formatting import estimate, number, p_value
from ganexp.compare.groups import seed_of
from ganexp.compare.labels import value_text
from ganexp.compare.measures import DIVERSITY, has_scores
from ganexp.compare.results import Pair, Result, alarm_kinds
from ganexp.compare.statistics import ALPHA, Mean, runs_needed
from ganexp.runs.saved_run import SavedRun
from ganexp.system.terminal import plural

_MOST_LISTED = 10  # differences, or runs without scores, that are listed individually

METHOD = (
    "Runs that differ in nothing but the seed form a group. Best is a run's best value over its evaluations, "
    "final its last one; both are means over the group's runs, with 95 % bootstrap intervals (BCa, 9,999 "
    "resamples, fixed seed). With few runs such intervals are too narrow: for normally distributed scores they "
    "contain the true mean in about 72 % of cases with 3 runs, 84 % with 5, 90 % with 10.",
    "Differences between groups are tested by two-sided permutation tests, with every relabelling if there are "
    "at most 20,000, else with 20,000 drawn at random. Holm's method corrects p for the number of pairs. A "
    "difference is significant where corrected p is below 0.05. Two groups with the same seeds are compared by "
    "a paired test (sign flips) if there are enough pairs for p to fall below 0.05; otherwise runs count as "
    "independent. The choice depends only on the number of runs.",
    "Unfinished, failed and collapsed runs count with the scores that they have. A score that was infinite at "
    "the end has no final value; n is the number of runs in a mean, where that is not all of them.",
)


def direction(result: Result) -> str:
    """``best fid_cnn; lower is better``."""
    if result.metric == DIVERSITY:
        return f"final {DIVERSITY}; real samples have 1"
    better = "its direction is unknown" if result.better == "unknown" else f"{result.better} is better"
    return f"{result.by} {result.metric}; {better}"


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
        answer = (
            f"{len(result.standings)} groups on {where}, not ranked: {result.metric} has no known direction"
        )
    elif len(leaders := [each.label for each in result.standings if _has_mean(result.main(each), mean)]) > 1:
        answer = f"{', '.join(leaders)} share the best {result.metric} on {where}: {number(mean.mean)}"
    else:
        answer = (
            f"{first.label} has the best {result.metric} on {where}: {estimate(mean)}; {_significance(result)}"
        )
    return "; ".join([answer, *_failure_counts(result)])


def difference_sentences(result: Result) -> list[str]:
    """Which differences are significant, and whether too few runs make that impossible."""
    if len(result.standings) < 2:
        return []
    if not result.pairs:
        return ["A test needs two groups with at least two runs each that have this score: add seeds."]
    significant = [pair for pair in result.pairs if pair.corrected < ALPHA]
    lines = [_difference_sentence(pair, result) for pair in significant[:_MOST_LISTED]]
    if len(significant) > _MOST_LISTED:
        more = plural(len(significant) - _MOST_LISTED, "more significant difference")
        lines.append(f"{more}: see the table.")
    rest = len(result.pairs) - len(significant)
    if rest:
        lines.append(f"Not significant: {rest} of {plural(len(result.pairs), 'difference')}.")
    return lines + _power_sentence(result.pairs)


def warnings(result: Result) -> list[str]:
    """Reasons to doubt the comparison, such as different numbers of images."""
    members = result.comparison.runs
    lines = []
    images = [run.images for run in members]
    if max(images) > 1.01 * min(images):
        lines.append(
            f"The runs saw different numbers of images, {min(images):,} to {max(images):,}: "
            "those that saw more had an advantage."
        )
    for key in _differing_evaluation_keys(members):
        values = dict.fromkeys(value_text(run.config[key]) for run in members if key in run.config)
        lines.append(f"Runs were evaluated differently: {key} is {' or '.join(values)}.")
    for standing in result.standings:
        repeated = [seed for seed, n in Counter(map(seed_of, standing.group.runs)).items() if n > 1]
        if repeated:
            lines.append(
                f"{standing.label} has seed {', '.join(repeated)} more than once: these runs are not "
                "independent, so intervals are too narrow and p is too small."
            )
    return lines + _missing_scores(members)


def _has_mean(mean: Mean | None, other: Mean) -> bool:
    return mean is not None and mean.mean == other.mean


def _significance(result: Result) -> str:
    """Names the groups that the best one is significantly better than."""
    best = result.standings[0].label
    significant = [pair for pair in result.pairs if pair.one == best and pair.corrected < ALPHA]
    if not result.pairs:
        return "too few runs for a test"
    if not significant:
        return "not significantly better than any other"
    names = [pair.other for pair in significant]
    others = ", ".join(names) if len(names) < 4 else f"{len(names)} of {len(result.standings) - 1} others"
    largest = max(pair.corrected for pair in significant)
    return f"significantly better than {others} ({p_value(largest).replace('=', '≤', len(names) > 1)})"


def _failure_counts(result: Result) -> list[str]:
    """How many runs had alarms or did not finish: ``1 of 5 runs collapsed``."""
    members = result.comparison.runs
    total = len(members)
    kinds = {"collapsed": "collapsed", "vanished": "had a critic that won"}
    alarms = [
        f"{n} of {plural(total, 'run')} {word}"
        for kind, word in kinds.items()
        if (n := sum(kind in alarm_kinds(run) for run in members))
    ]
    statuses = Counter(run.status for run in members if run.status != "finished")
    return alarms + [
        f"{n} of {plural(total, 'run')} {_STATUS_PHRASES[status]}" for status, n in statuses.items()
    ]


_STATUS_PHRASES = {
    "running": "still running",
    "interrupted": "interrupted",
    "failed": "failed",
    "diverged": "diverged",
    "unknown": "in an unknown state",
}


def _difference_sentence(pair: Pair, result: Result) -> str:
    difference = pair.difference
    interval = estimate(Mean(difference.mean, difference.low, difference.high, 0))
    verb = "differs significantly from" if result.better == "unknown" else "is significantly better than"
    return (
        f"{pair.one} {verb} {pair.other}: a difference of {interval} in {result.metric}, "
        f"{p_value(pair.corrected)}."
    )


def _power_sentence(pairs: Sequence[Pair]) -> list[str]:
    """A sentence that no difference can reach p < 0.05 with so few runs, if that is the case."""
    least, count = min(pair.difference.least for pair in pairs), len(pairs)
    if least * count < ALPHA:
        return []
    corrected = f", and after correction for {count} pairs {min(1.0, least * count):.2g}" if count > 1 else ""
    return [
        f"With so few runs no difference can be significant: the smallest possible p is {least:.2g}"
        f"{corrected}. With {runs_needed(count)} runs in each group it can be below 0.05."
    ]


def _differing_evaluation_keys(members: Iterable[SavedRun]) -> list[str]:
    """Keys of evaluate, features and metrics whose values differ between the runs that have them."""
    values: dict[str, set[str]] = {}
    for run in members:
        for key, value in run.config.items():
            if key.startswith(("evaluate.", "features.", "metrics.")) and ".best." not in key:
                values.setdefault(key, set()).add(repr(value))
    return [key for key, distinct in values.items() if len(distinct) > 1 and "published" not in key]


def _missing_scores(members: Sequence[SavedRun]) -> list[str]:
    """A sentence about runs without scores, with the reason where the configuration shows it."""
    missing = [run for run in members if not has_scores(run)]
    if not missing:
        return []
    has = "has" if len(missing) == 1 else "have"
    line = f"{len(missing)} of {plural(len(members), 'run')} {has} no score"
    if all("evaluate.every" in run.config and run.config["evaluate.every"] is None for run in missing):
        line += ": evaluate.every=null turns evaluation off. Diversity and speed are compared instead"
    elif len(missing) <= _MOST_LISTED:
        line += ": " + ", ".join(run.folder.name for run in missing)
    return [f"{line}."]
