"""The page of ``ganexp anomaly``: what each score finds, and the images in the order of their scores."""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image

from ganexp import __version__
from ganexp.compare.markup import Markup, document, tag
from ganexp.data.picture import side_by_side
from ganexp.metrics.detection import Area, Detection

_SHOWN_SIDE = 96  # pixels of an image on the page
_STYLE = "image-rendering: pixelated; border-radius: 4px; background: #202020"


class Row(NamedTuple):
    """An image on the page. ``pictures`` [3, 3, H, W] uint8: the image, its reconstruction, its heat map."""

    rank: int
    name: str
    label: str
    anomalous: bool | None
    score: float
    above: bool | None
    pictures: np.ndarray


def page(title: str, notes: Sequence[str], found: dict[str, Detection], rows: Sequence[Row], total: int) -> str:
    """The whole page as HTML; every text is escaped."""
    body = [tag("h1", title), *(tag("p", note) for note in notes)]
    if found:
        body += [tag("h2", "What each score finds"), _wide(headings(), table(found), "scores")]
    body.append(tag("h2", f"The {len(rows):,} highest scores of {total:,}"))
    body.append(
        tag("p", "Image, reconstruction, absolute difference (white: 1 of the range of 2).", class_="soft")
    )
    cells = [
        [str(row.rank), row.name, row.label, _told(row.anomalous), f"{row.score:.5g}", _told(row.above), ""]
        for row in rows
    ]
    names = ["rank", "name", "label", "anomalous", "score", "above threshold", "pictures"]
    body.append(_wide(names, cells, "images", [_picture(row) for row in rows]))
    return document(title, tag("main", *body, tag("p", f"ganexp {__version__}", class_="soft")))


def headings() -> list[str]:
    """Of the columns of ``table``."""
    return ["score", "AUROC", "average precision", "caught", "false alarms"]


def table(found: dict[str, Detection]) -> list[list[str]]:
    """A row of texts for each score."""
    return [
        [name, _area(one.auroc), _area(one.average_precision), _share(one.caught), _share(one.false_alarms)]
        for name, one in found.items()
    ]


def text_table(found: dict[str, Detection]) -> str:
    """The same with columns of equal width, for a terminal."""
    lines = [headings(), *table(found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _area(area: Area) -> str:
    return f"{area.value:.3f} [{area.low:.3f}, {area.high:.3f}]"


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _told(flag: bool | None) -> str:
    return "" if flag is None else "yes" if flag else "no"


def _picture(row: Row) -> Markup:
    height = row.pictures.shape[2]
    strip = np.concatenate(list(row.pictures), 2).transpose(1, 2, 0)
    stream = BytesIO()
    Image.fromarray(strip).save(stream, "PNG")
    uri = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    shown = max(_SHOWN_SIDE, height)
    return tag(
        "img", src=uri, alt=f"{row.name} and its reconstruction", height=shown, loading="lazy", style=_STYLE
    )


def _wide(
    names: Sequence[str], rows: Sequence[Sequence[str]], label: str, last: Sequence[Markup] | None = None
) -> Markup:
    """A table that is sorted by a click; ``last``: the content of the last column."""
    top = tag("tr", *(tag("th", tag("button", name, type="button"), scope="col") for name in names))
    body = []
    for number, cells in enumerate(rows):
        content = [*cells[:-1], last[number]] if last is not None else list(cells)
        body.append(tag("tr", *(tag("td", cell, data_v=_value(cell)) for cell in content)))
    whole = tag("table", tag("thead", top), tag("tbody", *body))
    return tag("div", whole, class_="wide", tabindex=0, role="region", aria_label=label)


def _value(cell: str) -> str | None:
    """The number that a cell begins with, by which its column is sorted."""
    first = cell.split(" ")[0].removesuffix("%")
    try:
        return None if isinstance(cell, Markup) else str(float(first))
    except ValueError:
        return None


def pictures(samples: np.ndarray, reconstructions: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The three pictures of each of N images: [N, 3, 3, H, W] uint8."""
    together = side_by_side([samples, reconstructions, heat])
    return together.reshape(len(samples), 3, *together.shape[1:])
