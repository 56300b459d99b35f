"""Which way a score is better. Each metric's class says so once, in ``SCORES``; nothing else has to be told.

It is read from the class's source, so that neither torch nor the metric is imported, and is written into
``run.json``, so that runs with metrics of somebody else's can be compared without them.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal

from ganexp.config.signatures import constant_of
from ganexp.config.targets import own_targets

Direction = Literal["lower", "higher", "unknown"]


def of_metrics(targets: Iterable[str]) -> dict[str, Direction]:
    """The scores of metrics, named by their classes' dotted paths, and which way each is better."""
    found: dict[str, Direction] = {}
    for target in targets:
        try:
            scores = constant_of(target, "SCORES")
        except LookupError:  # of a package that is not here
            continue
        if isinstance(scores, dict):
            found |= {str(name): way for name, way in scores.items() if way in ("lower", "higher")}
    return found


@cache
def shipped() -> Mapping[str, Direction]:
    """Those of ganexp's own metrics."""
    return of_metrics(target for target in own_targets() if target.startswith("ganexp.metrics."))


def direction_of(name: str, known: Mapping[str, Direction]) -> Direction:
    """Of a score's full name: ``fid`` stands for ``fid_cnn`` too, which says whose features it came about
    by.
    """
    if name.endswith("_std"):
        return "lower"  # how unsure the estimate beside it is
    stems = [stem for stem in known if name == stem or name.startswith(f"{stem}_")]
    return known[max(stems, key=len)] if stems else "unknown"
