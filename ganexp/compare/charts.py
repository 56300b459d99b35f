"""Curves as SVG, with colours from the page's style sheet, which has a light and a dark scheme."""

from collections.abc import Sequence

from ganexp.compare.curves import Axis, Curve, axis
from ganexp.compare.formatting import number
from ganexp.compare.markup import Markup, joined, tag
from ganexp.system.terminal import plural

_WIDTH, _HEIGHT = 440, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 34, 46  # margins
_COLOUR_COUNT = 8
_DASHES = (None, "7 4", "2 3", "10 3 2 3")


def swatch(rank: int) -> Markup:
    """A sample of a group's line, as a legend shows it."""
    line = tag("line", x1=0, x2=26, y1=6, y2=6, stroke_dasharray=_dash(rank), class_=f"curve {_stroke(rank)}")
    return tag("svg", line, class_="key", viewBox="0 0 26 12", aria_hidden="true")


def legend(curves: Sequence[tuple[int, str]]) -> Markup:
    """A list of line samples and labels, in the order of rank."""
    return tag("ul", *(tag("li", swatch(rank), label) for rank, label in curves), class_="legend")


def chart(title: str, curves: Sequence[Curve], *, logarithmic: bool) -> Markup:
    """Curves over images seen; with ``logarithmic``, the y axis is logarithmic where they span a decade."""
    points = [point for curve in curves for point in curve.points]
    values = [value for point in points for value in (point.low, point.high)]
    x = axis([0.0, *(float(point.images) for point in points)], may_be_logarithmic=False)
    y = axis(values, may_be_logarithmic=logarithmic)
    note = f"{title} (logarithmic)" if y.logarithmic else title
    drawn = [_draw_curve(curve, x, y) for curve in reversed(curves)]  # the best is drawn last, on top
    return tag(
        "svg",
        tag("text", note, x=_LEFT, y=18, class_="title"),
        *_axes(x, y),
        *(band for band, _ in drawn),
        *(line for _, line in drawn),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{note} over real images seen, {plural(len(curves), 'group')}",
    )


def _draw_curve(curve: Curve, x: Axis, y: Axis) -> tuple[Markup, Markup]:
    """The band over the seeds, and the mean with a dot per evaluation, whose tooltip gives the numbers."""
    upper = [(_x_pixel(x, point.images), _y_pixel(y, point.high)) for point in curve.points]
    lower = [(_x_pixel(x, point.images), _y_pixel(y, point.low)) for point in curve.points]
    middle = [(_x_pixel(x, point.images), _y_pixel(y, point.mean)) for point in curve.points]
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
            tag("title", f"{curve.label}: {number(point.mean)} at {point.images:,} images (n={point.n})"),
            cx=f"{across:.1f}",
            cy=f"{down:.1f}",
            r=radius,
            class_=f"f{curve.rank % _COLOUR_COUNT}",
        )
        for point, (across, down) in zip(curve.points, middle, strict=True)
    ]
    return band if any(point.n > 1 for point in curve.points) else Markup(""), joined(line, *dots)


def _axes(x: Axis, y: Axis) -> list[Markup]:
    """Grid lines and tick labels of both axes, and the title of the x axis."""
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    elements = []
    for tick in y.ticks:
        down = f"{_y_pixel(y, tick):.1f}"
        elements.append(tag("line", x1=_LEFT, x2=right, y1=down, y2=down, class_="rule"))
        elements.append(tag("text", _tick_label(tick), x=_LEFT - 8, y=down, dy="0.35em", text_anchor="end"))
    for tick in x.ticks:
        across = f"{_x_pixel(x, tick):.1f}"
        elements.append(tag("line", x1=across, x2=across, y1=bottom, y2=bottom + 4, class_="rule"))
        elements.append(tag("text", _tick_label(tick), x=across, y=bottom + 19, text_anchor="middle"))
    middle = (_LEFT + right) / 2
    return [*elements, tag("text", "real images seen", x=middle, y=_HEIGHT - 8, text_anchor="middle")]


def _tick_label(value: float) -> str:
    """``250k``, ``1.2M``, ``0.05``."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.4g}{letter}"
    return f"{value:.4g}"


def _x_pixel(x: Axis, images: float) -> float:
    return _LEFT + x.position(images) * (_WIDTH - _LEFT - _RIGHT)


def _y_pixel(y: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - y.position(value) * (_HEIGHT - _TOP - _BOTTOM)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{across:.1f},{down:.1f}" for across, down in points)


def _stroke(rank: int) -> str:
    return f"c{rank % _COLOUR_COUNT}"


def _dash(rank: int) -> str | None:
    return _DASHES[rank // _COLOUR_COUNT % len(_DASHES)]
