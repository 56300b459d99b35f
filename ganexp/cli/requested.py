"""From ``n``, ``label`` and ``code`` of ``ganexp sample`` to a request: what each sample is of, row by row.

Several labels, or several categories of a code, make a row each; a range of a continuous code is walked along
the columns of every row.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from ganexp.cli.requested_labels import RequestedLabels
from ganexp.config.sample_values import number_range, whole_range
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.request import Inputs, Request
from ganexp.training.load import OpenedRun


@dataclass(frozen=True)
class Requested:
    """A request. ``rows``: how many it has, None where the game chooses. ``name``: of its file.

    ``set_attributes``: the attributes that were named, as they were typed. ``by_column``: the samples of a
    column follow one another in the request, because they share their latents.
    """

    request: Request
    name: str
    rows: int | None = None
    set_attributes: str = ""
    by_column: bool = False

    def in_rows(self, inputs: Inputs) -> Inputs:
        """The inputs of the request in the order of a grid, row by row."""
        if not self.by_column or self.rows is None:
            return inputs
        order = torch.arange(self.request.count).reshape(-1, self.rows).T.flatten()
        args = tuple(part[order] for part in inputs.args)
        return Inputs(args, *(None if part is None else part[order] for part in inputs[1:]))


@dataclass
class _Values:
    """What is asked for, by ``label`` or a code's number.

    ``rows``: values [R, ...], of every sample if R is 1, else of one row each. ``walks``: the two ends of
    continuous codes. ``names``: parts of the file's name.
    """

    rows: dict[str | int, Tensor] = field(default_factory=dict)
    walks: dict[int, tuple[float, float]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def several(self) -> str | int | None:
        """The key that makes rows. Raises UserError if there are two."""
        keys = [key for key, values in self.rows.items() if len(values) > 1]
        if len(keys) > 1:
            one, other = ("label" if key == "label" else f"code.{key}" for key in keys[:2])
            raise UserError(f"{one} and {other}: both ask for a row of each value: choose one")
        return keys[0] if keys else None

    def request(self, count: int, row: Tensor, column: Tensor, columns: int | None, shared: int = 1) -> Request:
        """A request of samples that stand in these rows and columns [count]."""
        chosen = {key: values[row if len(values) > 1 else row * 0] for key, values in self.rows.items()}
        for number, (first, last) in self.walks.items():
            chosen[number] = torch.linspace(first, last, columns or 1)[column]
        label = chosen.pop("label", None)
        codes = {
            int(number): values for number, values in sorted(chosen.items(), key=lambda pair: int(pair[0]))
        }
        return Request(count, label, codes, columns=columns, shared=shared)


def requested(cfg: DictConfig, game: Game, run: OpenedRun) -> Requested:
    """The request of the settings ``n``, ``label``, ``code`` and ``format``. Raises UserError."""
    values, set_attributes = _Values(), ""
    label, codes = plain(cfg.label), plain(cfg.code)
    if isinstance(label, Mapping):
        values.rows["label"] = RequestedLabels(game, run).attributes(label)
        set_attributes = ", ".join(f"{name} {int(value)}" for name, value in label.items())
        values.names += ["label", *(f"{name}_{int(value)}" for name, value in label.items())]
    elif label is not None:
        labels = RequestedLabels(game, run)
        numbers = labels.numbers(label)
        values.rows["label"] = labels.tensor(numbers)
        values.names += ["label", _numbers_name(numbers)]
    for number, value in sorted((codes or {}).items()):
        _add_code(values, number, value, game.code_kinds)
    made = _in_rows(cfg.n, values, cfg.format == "grid", lambda: game.grid(Request(cfg.n)).columns)
    return replace(made, name="_".join(values.names), set_attributes=set_attributes)


def _in_rows(n: int, values: _Values, is_grid: bool, own_columns: Callable[[], int]) -> Requested:
    """Lays about ``n`` samples out in rows.

    Rows of labels or categories share their latents column by column. A walk needs full rows in every format,
    and changes nothing but its codes within a row. ``own_columns``: as many as the game chooses for itself.
    """
    several, walks = values.several(), bool(values.walks)
    if several is None and not walks:
        nothing = torch.zeros(n, dtype=torch.int64)
        return Requested(values.request(n, nothing, nothing, None), "")
    rows = 1 if several is None else len(values.rows[several])
    if not is_grid and not walks:
        if n < rows:
            raise UserError(f"n={n}: fewer samples than labels or categories, of which there are {rows}")
        sizes = n // rows + (torch.arange(rows) < n % rows).long()
        row = torch.arange(rows).repeat_interleave(sizes)
        return Requested(values.request(n, row, row * 0, None), "")
    columns = max(own_columns() if several is None else math.ceil(n / rows), 2 if walks else 1)
    rows = math.ceil(n / columns) if several is None else rows
    place = torch.arange(rows * columns)
    if walks:
        request = values.request(len(place), place // columns, place % columns, columns, shared=columns)
    else:
        request = values.request(len(place), place % rows, place // rows, columns, shared=rows)
    return Requested(request, "", rows, by_column=not walks)


def _add_code(values: _Values, number: int, value: Any, kinds: tuple[int, ...]) -> None:
    """Adds a code: a category, a range or list of categories, a number, or a range of numbers.

    A code that does not exist is taken for a continuous one: the game refuses it. Raises UserError.
    """
    key, categories = f"code.{number}", kinds[number] if number < len(kinds) else 0
    if categories:
        numbers = [one for part in _as_list(value) for one in _categories(key, part, categories)]
        values.rows[number] = torch.tensor(numbers)
        values.names += ["code", str(number), _numbers_name(numbers)]
        return
    if isinstance(value, list):
        raise UserError(f"{key}: a list is for a code with categories; this one takes a number or {key}=-2..2")
    walk = number_range(value)
    if walk is not None:
        values.walks[number] = walk
    else:
        values.rows[number] = torch.tensor([float(value)])
    text = f"{value:.9g}" if walk is None else "-".join(f"{end:.9g}" for end in walk)
    values.names += ["code", str(number), text]


def _categories(key: str, value: Any, count: int) -> range:
    """The categories of a number or of a range. Raises UserError for others than 0 to ``count - 1``."""
    several = range(value, value + 1) if isinstance(value, int) else whole_range(value)
    if several is None or several[0] < 0 or several[-1] >= count:
        raise UserError(f"{key}={value}: this code's categories are 0 to {count - 1}, or a range such as 0..1")
    return several


def plain(node: Any) -> Any:
    """A setting as lists, dicts and plain values."""
    return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _numbers_name(numbers: list[int]) -> str:
    """``0-9`` for consecutive numbers, ``3_5_3`` for others."""
    if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}-{numbers[-1]}"
    return "_".join(map(str, numbers))
