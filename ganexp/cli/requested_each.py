"""From labels and codes that Python gives, for all samples or for each, to a request."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganexp.cli.requested_labels import RequestedLabels
from ganexp.config.sample_values import LABEL_RULE, LARGEST_CODE, check_label, is_label
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.request import Request
from ganexp.training.load import OpenedRun


def request_of_each(
    count: int,
    label: int | str | Sequence[int | str] | Mapping[str, int] | None,
    codes: Mapping[int, Any],
    game: Game,
    run: OpenedRun,
) -> Request:
    """A request of ``count`` samples, with one label and one value of each code for all or for each.

    ``label`` as a mapping has attributes by name. Raises UserError.
    """
    if not isinstance(codes, Mapping):
        raise UserError("codes: should be a mapping from a code's number to its value, such as {0: 3}")
    values = {number: _code(number, value, count, game.code_kinds) for number, value in codes.items()}
    if label is None:
        return Request(count, None, values)
    labels = RequestedLabels(game, run)
    if isinstance(label, Mapping):
        found = labels.attributes(check_label(label))
    else:
        each = list(label) if isinstance(label, Sequence) and not isinstance(label, str) else [label]
        if len(each) not in (1, count):
            raise UserError(f"label: {len(each)} labels for {count} samples")
        for one in each:
            if not is_label(one):
                raise UserError(f"label={one}: {LABEL_RULE}")
        found = labels.tensor([labels.number(one) for one in each])
    return Request(count, found.expand(count, *found.shape[1:]), values)


def _code(number: int, value: Any, count: int, kinds: tuple[int, ...]) -> Tensor:
    """The values [count] of one code: int64 categories, or float32. Raises UserError."""
    if not is_label(number) or isinstance(number, str):
        raise UserError(f"codes[{number!r}]: codes have numbers, from 0")
    try:
        found = np.atleast_1d(np.asarray(value))
    except ValueError:  # lists of unequal lengths
        found = np.array("")
    kind = kinds[number] if number < len(kinds) else 0
    if found.dtype.kind not in "iuf" or len(found.shape) != 1 or not (np.abs(found) <= LARGEST_CODE).all():
        raise UserError(f"codes[{number}]={value}: should be a number, or one for each sample")
    if len(found) not in (1, count):
        raise UserError(f"codes[{number}]: {len(found)} values for {count} samples")
    if kind and found.dtype.kind == "f":
        raise UserError(f"codes[{number}]={value}: this code's categories are 0 to {kind - 1}")
    dtype = torch.int64 if kind else torch.float32
    return torch.as_tensor(found, dtype=dtype).expand(count)
