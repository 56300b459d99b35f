"""Numbers of a comparison as text."""

import math

from ganexp.compare.results import Standing
from ganexp.compare.statistics import Mean

NONE = "\N{EN DASH}"
"""The text of a missing value."""


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


def outcome_counts(standing: Standing) -> str:
    """``2 finished, 1 finished but collapsed``."""
    return ", ".join(f"{count} {kind}" for kind, count in standing.outcomes.items())
