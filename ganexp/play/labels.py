"""The controls of a page by which labels are chosen: a list of classes, or a box for each attribute."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from ganexp.play.asked import Label

_ANY = -1


class LabelControls:
    """Controls for the labels of these names; ``optional``: whether the choice may be left to the run."""

    def __init__(self, names: Sequence[str], *, several: bool, optional: bool) -> None:
        self.controls: list[Any] = []
        self._count, self._several, self._optional = len(names), several, optional
        numbered = [(name, number) for number, name in enumerate(names)]
        if not names:
            return
        if not several:
            choices = [*([("not given", _ANY)] if optional else []), *numbered]
            self.controls = [gr.Dropdown(choices, value=choices[0][1], label="class", elem_id="label")]
            return
        if optional:
            self.controls = [gr.Checkbox(False, label="set the attributes")]
        self.controls.append(gr.CheckboxGroup(numbered, value=[], label="attributes", elem_id="label"))

    def label(self, values: Sequence[Any]) -> Label:
        """The label of the values of ``controls``."""
        if not values:
            return None
        if not self._several:
            return None if values[0] in (None, _ANY) else int(values[0])
        if self._optional and not values[0]:
            return None
        return {number: int(number in values[-1]) for number in range(self._count)}
