"""Curves as SVG, with colours from the page's style sheet, which has a light and a dark scheme."""

from collections.abc import Sequence
from typing import NamedTuple

from ganexp.compare.curves import Axis, Curve, axis
from ganexp.compare.formatting import number
from ganexp.compare.markup import Markup, joined, tag
from ganexp.system.terminal import plural

_WIDTH, _HEIGHT = 440, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 34, 46  # margins
_COLOUR_COUNT = 8


class Across(NamedTuple):
    """What the x axis is of: its title, and a format of a place on it for tooltips."""

    title: str
    at: str


IMAGES = Across("real images seen", "at {:,.0f} images")

_DASHES = (None, "7 4", "2 3", "10 3 2 3")

_STYLE = """
text { fill: #5b6570; font: 13px system-ui, sans-serif; }
text.title { fill: #1c2024; font-weight: 600; font-size: 14px; }
.rule { stroke: #d9dee3; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.band { opacity: .16; stroke: none; }
.c0 { stroke: #0072b2; } .c1 { stroke: #d55e00; } .c2 { stroke: #009e73; } .c3 { stroke: #b8568f; }
.c4 { stroke: #c98a00; } .c5 { stroke: #2f9fd8; } .c6 { stroke: #1c2024; } .c7 { stroke: #8c8000; }
.f0 { fill: #0072b2; } .f1 { fill: #d55e00; } .f2 { fill: #009e73; } .f3 { fill: #b8568f; }
.f4 { fill: #c98a00; } .f5 { fill: #2f9fd8; } .f6 { fill: #1c2024; } .f7 { fill: #8c8000; }
"""
"""Of a file of its own, which has no page around it: the light colours of ``page.css``."""


def swatch(rank: int) -> Markup:
    """A sample of a group's line, as a legend shows it."""
    line = tag("line", x1=0, x2=26, y1=6, y2=6, stroke_dasharray=_dash(rank), class_=f"curve {_stroke(rank)}")
    return tag("svg", line, class_="key", viewBox="0 0 26 12", aria_hidden="true")


def legend(curves: Sequence[tuple[int, str]]) -> Markup:
    """A list of line samples and labels, in the order of rank."""
    return tag("ul", *(tag("li", swatch(rank), label) for rank, label in curves), class_="legend")


def chart(title: str, curves: Sequence[Curve], *, logarithmic: bool) -> Markup:
    """Curves over images seen; with ``logarithmic``, the y axis is logarithmic where they span a decade."""
    note, drawn = _chart(title, curves, IMAGES, logarithmic=logarithmic)
    return tag(
        "svg",
        *drawn,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{note} over {IMAGES.title}, {plural(len(curves), 'group')}",
    )


def standalone_chart(title: str, curves: Sequence[Curve], across: Across) -> str:
    """The text of an SVG file: a chart, and its legend in two columns below it."""
    _, drawn = _chart(title, curves, across, logarithmic=False)
    keys = []
    for number_of, curve in enumerate(curves):
        left, top = _LEFT + number_of % 2 * 180, _HEIGHT + 12 + number_of // 2 * 20
        line = tag(
            "line",
            x1=left,
            x2=left + 26,
            y1=top,
            y2=top,
            stroke_dasharray=_dash(curve.rank),
            class_=f"curve {_stroke(curve.rank)}",
        )
        keys += [line, tag("text", curve.label, x=left + 34, y=top, dy="0.35em")]
    height = _HEIGHT + 10 + 20 * ((len(curves) + 1) // 2)
    return tag(
        "svg",
        tag("style", Markup(_STYLE)),
        tag("rect", width=_WIDTH, height=height, fill="#fff"),
        *drawn,
        *keys,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height}",
        width=1.5 * _WIDTH,
    )


def _chart(
    title: str, curves: Sequence[Curve], across: Across, *, logarithmic: bool
) -> tuple[str, list[Markup]]:
    """The title with a remark, and the elements of a chart."""
    points = [point for curve in curves for point in curve.points]
    values = [value for point in points for value in (point.low, point.high)]
    x = axis([0.0, *(point.x for point in points)], may_be_logarithmic=False)
    y = axis(values, may_be_logarithmic=logarithmic)
    note = f"{title} (logarithmic)" if y.logarithmic else title
    drawn = [_draw_curve(curve, x, y, across) for curve in reversed(curves)]  # the best is drawn last, on top
    heading = tag("text", note, x=_LEFT, y=18, class_="title")
    bands, lines = [band for band, _ in drawn], [line for _, line in drawn]
    return note, [heading, *_axes(x, y, across), *bands, *lines]


def _draw_curve(curve: Curve, x: Axis, y: Axis, across: Across) -> tuple[Markup, Markup]:
    """The band over the seeds, and the mean with a dot per evaluation, whose tooltip gives the numbers."""
    upper = [(_x_pixel(x, point.x), _y_pixel(y, point.high)) for point in curve.points]
    lower = [(_x_pixel(x, point.x), _y_pixel(y, point.low)) for point in curve.points]
    middle = [(_x_pixel(x, point.x), _y_pixel(y, point.mean)) for point in curve.points]
    band = tag("polygon", points=_path(upper + lower[::-1]), class_=f"band f{curve.rank % _COLOUR_COUNT}")
    line = tag(
        "polyline",
        points=_path(middle),
        stroke_dasharray=_dash(curve.rank),
        class_=f"curve {_stroke(curve.rank)}",
    )
    radius = 2.5 if len(curve.points) < 30 else 1.5
    dots = [
        tag(
            "circle",
            tag("title", f"{curve.label}: {number(point.mean)} {across.at.format(point.x)} (n={point.n})"),
            cx=f"{right:.1f}",
            cy=f"{down:.1f}",
            r=radius,
            class_=f"f{curve.rank % _COLOUR_COUNT}",
        )
        for point, (right, down) in zip(curve.points, middle, strict=True)
    ]
    return band if any(point.n > 1 for point in curve.points) else Markup(""), joined(line, *dots)


def _axes(x: Axis, y: Axis, across: Across) -> list[Markup]:
    """Grid lines and tick labels of both axes, and the title of the x axis."""
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    elements = []
    for tick in y.ticks:
        down = f"{_y_pixel(y, tick):.1f}"
        elements.append(tag("line", x1=_LEFT, x2=right, y1=down, y2=down, class_="rule"))
        elements.append(tag("text", _tick_label(tick), x=_LEFT - 8, y=down, dy="0.35em", text_anchor="end"))
    for tick in x.ticks:
        place = f"{_x_pixel(x, tick):.1f}"
        elements.append(tag("line", x1=place, x2=place, y1=bottom, y2=bottom + 4, class_="rule"))
        elements.append(tag("text", _tick_label(tick), x=place, y=bottom + 19, text_anchor="middle"))
    middle = (_LEFT + right) / 2
    return [*elements, tag("text", across.title, x=middle, y=_HEIGHT - 8, text_anchor="middle")]


def _tick_label(value: float) -> str:
    """``250k``, ``1.2M``, ``0.05``."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.4g}{letter}"
    return f"{value:.4g}"


def _x_pixel(x: Axis, value: float) -> float:
    return _LEFT + x.position(value) * (_WIDTH - _LEFT - _RIGHT)


def _y_pixel(y: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - y.position(value) * (_HEIGHT - _TOP - _BOTTOM)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{across:.1f},{down:.1f}" for across, down in points)


def _stroke(rank: int) -> str:
    return f"c{rank % _COLOUR_COUNT}"


def _dash(rank: int) -> str | None:
    return _DASHES[rank // _COLOUR_COUNT % len(_DASHES)]
