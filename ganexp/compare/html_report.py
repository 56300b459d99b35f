"""A comparison as one self-contained HTML page."""

from collections.abc import Sequence

from ganexp import __version__
from ganexp.compare import sentences, tables
from ganexp.compare.charts import chart, legend, swatch
from ganexp.compare.curves import curve
from ganexp.compare.grids import Gallery, Grid, gallery
from ganexp.compare.markup import Markup, document, joined, tag
from ganexp.compare.results import Result
from ganexp.compare.tables import Cell, Table
from ganexp.runs.saved_run import SavedRun
from ganexp.system.terminal import plural

_GRID_BUDGET = 6_000_000
"""The budget for all sample grids of a page, in bytes."""

_WRAP_LENGTH = 40  # characters above which a cell wraps


def page(results: Sequence[Result], unreadable: Sequence[SavedRun]) -> str:
    """The report as HTML."""
    total = sum(len(result.comparison.runs) for result in results) + len(unreadable)
    title = f"Comparison of {plural(total, 'run')}"
    body = [
        tag("h1", title),
        *(tag("p", f"{sentences.headline(result)}.", class_="lead") for result in results),
    ]
    if unreadable:
        names = ", ".join(str(run.folder) for run in unreadable)
        body.append(
            tag("p", f"Not compared, because their configuration cannot be read: {names}", class_="warn")
        )
    body += [_section(result, _GRID_BUDGET // len(results)) for result in results]
    method = [tag("p", line) for line in (*sentences.METHOD, f"ganexp {__version__}")]
    body.append(tag("section", tag("h2", "Method"), *method, class_="soft"))
    return document(title, tag("main", *body))


def _section(result: Result, budget: int) -> Markup:
    """The section of one comparison; ``budget`` is the size of its grids in bytes."""
    scores, *rest = tables.all_of(result)
    lines = [tag("li", line) for line in sentences.difference_sentences(result)]
    warnings = [tag("li", line, class_="warn") for line in sentences.warnings(result)]
    return tag(
        "section",
        tag("h2", result.comparison.name),
        tag("p", f"{sentences.direction(result)}; * marks groups with unfinished runs", class_="soft"),
        tag("ul", *lines, *warnings) if lines or warnings else Markup(""),
        _table(scores),
        _charts(result),
        _sample_grids(gallery([standing.group for standing in result.standings], budget), result),
        *(_collapsed_table(table) for table in rest),
    )


def _charts(result: Result) -> Markup:
    figures = []
    for name in result.names:
        curves = [curve(rank, standing.group, name) for rank, standing in enumerate(result.standings)]
        curves = [each for each in curves if each.points]
        if curves:
            figures.append(tag("figure", chart(name, curves, logarithmic=result.direction(name) == "lower")))
    if not figures:
        return Markup("")
    labels = [(rank, standing.label) for rank, standing in enumerate(result.standings)]
    note = "Mean over a group's runs; the band goes from the lowest to the highest."
    return joined(
        tag("h3", "Curves"),
        tag("p", note, class_="soft"),
        legend(labels),
        tag("div", *figures, class_="charts"),
    )


def _sample_grids(grids: Gallery, result: Result) -> Markup:
    if not grids.firsts:
        return Markup("")
    ranks = {standing.label: rank for rank, standing in enumerate(result.standings)}
    firsts = tag("div", *(_figure(grid, ranks) for grid in grids.firsts), class_="grids")
    parts = [tag("h3", "Samples after the same number of images"), firsts]
    if grids.others:
        others = tag("div", *(_figure(grid, ranks) for grid in grids.others), class_="grids")
        parts.append(
            tag("details", tag("summary", f"{plural(len(grids.others), 'more grid')} of other seeds"), others)
        )
    if grids.left_out:
        parts.append(
            tag("p", f"Left out to keep this page small: {plural(grids.left_out, 'grid')}.", class_="soft")
        )
    return joined(*parts)


def _figure(grid: Grid, ranks: dict[str, int]) -> Markup:
    caption = f"{grid.label}, seed {grid.seed}: {grid.images:,} images"
    picture = tag("img", src=grid.uri, alt=f"Samples of {caption}", loading="lazy")
    return tag("figure", picture, tag("figcaption", swatch(ranks[grid.label]), caption))


def _collapsed_table(table: Table) -> Markup:
    return tag("details", tag("summary", f"{table.title} ({len(table.rows)})"), _table(table))


def _table(table: Table) -> Markup:
    headings = [tag("th", tag("button", heading, type="button"), scope="col") for heading in table.headings]
    rows = []
    for rank, (first, *cells) in enumerate(table.rows):
        key = swatch(rank) if table.groups else Markup("")
        rows.append(
            tag(
                "tr",
                tag("th", key, first.text, scope="row", class_=_width_class(first)),
                *(_cell(cell) for cell in cells),
            )
        )
    whole = tag("table", tag("thead", tag("tr", *headings)), tag("tbody", *rows))
    return tag("div", whole, class_="wide", tabindex=0, role="region", aria_label=table.title)


def _cell(cell: Cell) -> Markup:
    return tag("td", cell.text, data_v=cell.value, class_=_width_class(cell))


def _width_class(cell: Cell) -> str | None:
    return "long" if len(cell.text) > _WRAP_LENGTH else None
