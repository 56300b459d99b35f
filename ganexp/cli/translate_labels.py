"""The label of ``ganexp translate``: what the images of a run that changes labels should become."""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf
from torch import Tensor

from ganexp.cli.requested_labels import RequestedLabels
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.translation import Restored
from ganexp.training.load import OpenedRun


class WithLabel(Restored):
    """A generator of images and labels, as one of images: every image gets the same label."""

    label: Tensor

    def __init__(self, generator: Restored, label: Tensor) -> None:
        super().__init__(generator.net, generator.degrade)
        self.register_buffer("label", label)

    def forward(self, source: Tensor, *labels: Tensor) -> Tensor:
        return super().forward(source, self.label.expand(len(source), *self.label.shape[1:]))


def with_label(label: Any, generator: Restored, game: Game, run: OpenedRun) -> tuple[Restored, str]:
    """The generator with the label of the settings, and what was asked for, for the log; empty without labels.

    Attributes that are not named are 0, because those of a file are unknown. Raises UserError where the run
    needs a label and none is given, or the reverse.
    """
    label = OmegaConf.to_container(label) if OmegaConf.is_config(label) else label
    several = run.source.label_kind == "attributes"
    if not generator.classes:
        if label is None:
            return generator, ""
        raise UserError("label: this run makes images from images and takes no label; one of game=stargan does")
    if label is None:
        last = generator.classes - 1
        how = f"label.<name, or number 0 to {last}>=1" if several else f"label=<number, 0 to {last}, or name>"
        raise UserError(f"label is missing: this run changes labels: say what images should become: {how}")
    labels = RequestedLabels(game, run)
    if isinstance(label, Mapping):
        named = ", ".join(f"{name} {int(value)}" for name, value in label.items())
        return WithLabel(generator, labels.attributes(label)), f" with {named}, all other attributes 0"
    numbers = labels.numbers(label)
    if len(numbers) > 1:
        raise UserError(f"label={label}: each image becomes one image here: give one label")
    others = ", all other attributes 0" if several else ""
    return WithLabel(generator, labels.tensor(numbers)), f" with label {label}{others}"
