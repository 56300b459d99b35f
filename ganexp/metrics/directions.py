"""Whether lower or higher scores are better, from the ``SCORES`` of each metric's class.

``SCORES`` is read from the class's source code, so neither torch nor the metric is imported. The directions are
written to ``run.json``, so runs can be compared where their custom metrics are not installed.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal

from ganexp.config.signatures import constant_of
from ganexp.config.targets import builtin_targets

Direction = Literal["lower", "higher", "unknown"]


def metric_directions(targets: Iterable[str]) -> dict[str, Direction]:
    """The directions of all scores of the metrics, which are given by their classes' dotted paths."""
    found: dict[str, Direction] = {}
    for target in targets:
        try:
            scores = constant_of(target, "SCORES")
        except LookupError:  # the package is not installed
            continue
        if isinstance(scores, dict):
            found |= {
                str(name): direction for name, direction in scores.items() if direction in ("lower", "higher")
            }
    return found


@cache
def shipped_directions() -> Mapping[str, Direction]:
    """The directions of ganexp's own metrics."""
    return metric_directions(target for target in builtin_targets() if target.startswith("ganexp.metrics."))


def direction_of(name: str, known: Mapping[str, Direction]) -> Direction:
    """The direction of a score by its full name: ``fid_cnn``, with its features' suffix, matches ``fid``."""
    if name.endswith("_std"):
        return "lower"  # the standard deviation of an estimate
    known_stems = [stem for stem in known if name == stem or name.startswith(f"{stem}_")]
    return known[max(known_stems, key=len)] if known_stems else "unknown"
