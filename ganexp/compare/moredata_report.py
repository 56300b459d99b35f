"""The report of ``ganexp moredata``: JSON, Markdown, and the accuracy against the share as SVG."""

import json
from pathlib import Path
from typing import Any

from ganexp import __version__
from ganexp.compare import moredata
from ganexp.compare.charts import Across, standalone_chart
from ganexp.compare.curves import Curve, Point
from ganexp.compare.markdown_report import escaped, table_lines
from ganexp.compare.moredata import USUAL, ArmResult, Outcome
from ganexp.compare.statistics import t_mean_of
from ganexp.system.atomic import replacing

CHART = "moredata.svg"
_SHARES = Across("share of generated images", "at a share of {:g}")

_METHOD = (
    "Every classifier is the same small network with the same number of updates; arms differ in what their "
    "batches hold. real: the real images as they are; augmented: shifted and, where set, mirrored; mixup: "
    "augmented and mixed in pairs; generated: that share of each batch are images of the GAN, and all are "
    "augmented.",
    "The GAN and the classifiers have the same real images. No test image takes part in choosing the share.",
    "Intervals are Student's 95 % intervals, of differences those of pairs: the n-th classifiers of two arms "
    "begin with the same weights. Of one GAN they tell how classifiers vary, and not how GANs do: several runs "
    "of different seeds tell that.",
)


def write(outcome: Outcome, settings: dict[str, Any], folder: Path) -> None:
    """Writes moredata.json, moredata.md and moredata.svg, each atomically. Raises OSError."""
    files = {
        "moredata.json": _json(outcome, settings),
        "moredata.md": _markdown(outcome),
        CHART: chart(outcome),
    }
    for name, content in files.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")


def chart(outcome: Outcome) -> str:
    """Accuracy against the share of generated images; arms without any are level lines."""
    share_zero = [_point(0.0, outcome.arm(USUAL))]
    curves = [Curve(0, "generated", share_zero + [_point(arm.share, arm) for arm in outcome.generated])]
    for rank, name in enumerate(("real", USUAL, "mixup"), 1):
        mean = float(outcome.arm(name).values().mean())
        curves.append(Curve(rank, name, [Point(share, mean, mean, mean, 1) for share in (0.0, 1.0)]))
    return standalone_chart(f"accuracy in %, n={outcome.images:,} per class", curves, _SHARES)


def _point(share: float, arm: ArmResult) -> Point:
    mean = t_mean_of(arm.values())
    low, high = (mean.mean if bound is None else bound for bound in (mean.low, mean.high))
    return Point(share, mean.mean, low, high, mean.n)


def _markdown(outcome: Outcome) -> str:
    table = moredata.table(outcome)
    lines = [
        "# Do generated images give a classifier more training data?",
        "",
        f"**{escaped(moredata.sentence(outcome))}.**",
        "",
        escaped(
            f"Real images per class: {outcome.images:,}. Tested on {outcome.tested}; the share is chosen "
            f"on {outcome.validated:,} others."
        ),
        "",
        *table_lines(table),
        "",
        f"![accuracy against the share of generated images]({CHART})",
        "",
        *(f"{escaped(line)}\n" for line in _METHOD),
        f"Updates of each classifier: {outcome.arms[0].updates:,}. Classifiers per run: {outcome.seeds}.",
        "",
        *(f"- {escaped(run)}" for run in outcome.runs),
        "",
        f"ganexp {__version__}",
        "",
    ]
    return "\n".join(lines)


def _json(outcome: Outcome, settings: dict[str, Any]) -> str:
    chosen = outcome.chosen
    content = {
        "sentence": moredata.sentence(outcome),
        "images_per_class": outcome.images,
        "runs": outcome.runs,
        "seeds": outcome.seeds,
        "tested": outcome.tested,
        "validation_images": outcome.validated,
        "share": chosen.share,
        "difference": outcome.difference(chosen)._asdict(),
        "arms": [
            arm._asdict()
            | {"accuracy": t_mean_of(arm.values())._asdict(), "difference": outcome.difference(arm)._asdict()}
            for arm in outcome.arms
        ],
        "settings": settings,
        "version": __version__,
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
