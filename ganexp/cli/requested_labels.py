"""The labels that a run is asked for, by number or by the names of its data set, as a game takes them."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ganexp.config.sample_values import whole_range
from ganexp.errors import UserError, suggest
from ganexp.games.game import Game
from ganexp.training.load import OpenedRun

_MAX_NAMES = 40  # of classes that an error lists


class RequestedLabels:
    """Looks up labels of a run. The data set is loaded, once, if a name asks for it.

    A game without labels refuses every request for them. For such a game each label is 0, so that its answer
    is the only one.
    """

    def __init__(self, game: Game, run: OpenedRun) -> None:
        self._run = run
        self._known = bool(getattr(game.generator, "classes", 1))
        self._attributes = run.source.label_kind == "attributes"

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self._run.data().classes)

    def number(self, label: int | str, asked: str | None = None) -> int:
        """The number of a class or attribute that is given by number or by name.

        Raises UserError, which begins with what was ``asked`` for, by default ``label=<label>``.
        """
        asked = asked or f"label={label}"
        count = self._run.source.classes
        if not self._known:
            return 0
        if not isinstance(label, str):
            if label >= count:
                kind = "the attributes" if self._attributes else "this run's labels"
                raise UserError(f"{asked}: {kind} are 0 to {count - 1}")
            return label
        if label in self._names:
            return self._names.index(label)
        known = self._names if len(self._names) <= _MAX_NAMES else get_close_matches(label, self._names)
        hint = suggest(label, known) or f"the data has {len(self._names):,}"
        raise UserError(f"{asked}: no such {'attribute' if self._attributes else 'class'}; {hint}")

    def numbers(self, label: int | str | Sequence[int | str]) -> list[int]:
        """The numbers of a label, of a range such as ``0..9``, or of a list of these. Raises UserError."""
        if isinstance(label, Sequence) and not isinstance(label, str):
            return [number for one in label for number in self.numbers(one)]
        several = whole_range(label)
        if several is None or not self._known:
            return [self.number(label)]
        self.number(several[-1])
        return list(several)

    def tensor(self, numbers: Sequence[int]) -> Tensor:
        """Classes [N] int64; of attributes [N, K], for each sample one that is 1."""
        labels = torch.tensor(numbers)
        return one_hot(labels, self._run.source.classes) if self._attributes and self._known else labels

    def attributes(self, values: Mapping[int | str, int]) -> Tensor:
        """Attributes [1, K] int64 by number or name; those that are not given are 0. Raises UserError."""
        labels = torch.zeros(1, self._run.source.classes, dtype=torch.int64)
        if self._known and not self._attributes:
            count = self._run.source.classes
            text = f"this run's labels are classes: label=<number, 0 to {count - 1}, or name>"
            raise UserError(f"label.{next(iter(values))}: {text}")
        for name, value in values.items():
            labels[0, self.number(name, f"label.{name}")] = int(value)
        return labels
