"""Scores as text: a line for the log, and a table of generated samples, real samples and papers."""

import math
from collections.abc import Iterable, Mapping

from omegaconf import DictConfig

from ganexp.metrics.directions import Direction, direction_of
from ganexp.system.terminal import stdout_can_print

_ARROWS, _ASCII_ARROWS = ("\N{BLACK DOWN-POINTING TRIANGLE}", "\N{BLACK UP-POINTING TRIANGLE}"), ("v", "^")
"""Marks of a score that is lower and of one that is higher than the last one."""


def score_line(
    scores: Mapping[str, float],
    beside: Mapping[str, Mapping[str, float]],
    previous: Mapping[str, float],
    directions: Mapping[str, Direction],
) -> str:
    """One line of scores: ``fid_cnn 8.63 (real 2.06) \N{BLACK DOWN-POINTING TRIANGLE} better``.

    ``beside``: the scores of real samples and of trivial methods, by what they are of; ``previous``: the last
    scores, which an arrow compares with; each may lack some. ``directions``: see ``direction_of``. Standard
    deviations of estimates are left out.
    """
    parts = []
    for name, score in scores.items():
        if name.endswith("_std"):
            continue
        known = ", ".join(f"{of} {_short(found[name])}" for of, found in beside.items() if name in found)
        change = _change(score, previous[name], direction_of(name, directions)) if name in previous else ""
        parts.append(f"{name} {_short(score)}{f' ({known})' if known else ''}{change}")
    return "  ".join(parts)


def _change(score: float, previous: float, direction: Direction) -> str:
    """An arrow and whether that is better or worse; empty for NaN, and where both are printed alike."""
    if math.isnan(score) or _short(score) == _short(previous):
        return ""
    lower, higher = _ARROWS if stdout_can_print("".join(_ARROWS)) else _ASCII_ARROWS
    arrow = lower if score < previous else higher
    if direction == "unknown":
        return f" {arrow}"
    return f" {arrow} " + ("better" if (score < previous) == (direction == "lower") else "worse")


def _short(score: float) -> str:
    """Three significant digits, or all digits before the point."""
    if math.isinf(score):
        return "infinite"
    return f"{score:,.0f}" if abs(score) >= 1000 else f"{score:.3g}"


def score_table(
    scores: Mapping[str, float | None],
    beside: Mapping[str, Mapping[str, float | None]],
    published: DictConfig | None,
    images: int | None,
) -> str:
    """One line per score. ``published``: ``evaluate.published``; ``images``: the number trained on so far.

    None and infinity are scores without a value, such as a divergence without samples. ``beside``: see
    ``score_line``.
    """
    published_scores = {} if published is None else published.scores
    methods = ["generated", *beside, *published_scores]
    widths = [max(12, len(method) + 1) for method in methods]
    lines = [_line("score", methods, widths)]
    for name in scores:
        cells = [_format_score(scores[name])]
        cells += [_format_score(found[name]) if name in found else "-" for found in beside.values()]
        cells += [f"{figures[name]:g}" if name in figures else "-" for figures in published_scores.values()]
        lines.append(_line(name, cells, widths))
    if published is not None:
        share = "" if images is None else f"; here {images:,}, {images / published.images:.2%} of that"
        lines.append(f"published: {published.source}, after {published.images:,} images{share}")
        lines.append(f"what differs: {published.differs}")
    return "\n".join(lines)


def _line(name: str, cells: Iterable[str], widths: list[int]) -> str:
    return f"{name:20}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _format_score(score: float | None) -> str:
    return "infinite" if score is None or math.isinf(score) else f"{score:.4f}"
