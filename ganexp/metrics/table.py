"""A text table of scores: of generated samples, of real samples, and from papers."""

import math
from collections.abc import Iterable, Mapping

from omegaconf import DictConfig


def score_table(
    scores: Mapping[str, float | None],
    floor: Mapping[str, float | None],
    published: DictConfig | None,
    images: int | None,
) -> str:
    """One line per score. ``published``: ``evaluate.published``; ``images``: the number trained on so far.

    None and infinity are scores without a value, such as a divergence without samples. ``floor``, the scores of
    real samples, may lack some scores.
    """
    published_scores = {} if published is None else published.scores
    methods = ["generated", "real", *published_scores]
    widths = [max(12, len(method) + 1) for method in methods]
    lines = [_line("score", methods, widths)]
    for name in scores:
        cells = [_format_score(scores[name]), _format_score(floor[name]) if name in floor else "-"]
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
