"""Runs of ``ganexp play`` that make images from images: what they can be asked for, and their outputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from PIL import Image as Pictures

from ganexp.cli.play_runs import label_names, name_of, of_each
from ganexp.cli.translate import Made, Translator, generator_of
from ganexp.cli.translate_labels import with_label
from ganexp.config.targets import conf_folder
from ganexp.data.decode import decode_whole
from ganexp.data.degradations.degradation import Degradation
from ganexp.games.translation import Translation
from ganexp.play.asked import Image, Translate, Translating
from ganexp.play.html import Shown
from ganexp.training.load import LoadedGenerator, OpenedRun


class PlayedTranslator:
    """A run that is applied to images, as ``ganexp translate`` does with its own default settings."""

    def __init__(self, cfg: DictConfig, run: OpenedRun, loaded: LoadedGenerator) -> None:
        assert isinstance(loaded.game, Translation)
        self.run, self.game, self.name = run, loaded.game, name_of(run)
        self._seed = int(cfg.seed)

    @property
    def classes(self) -> int:
        """The labels that images are changed to; 0 of runs that change none."""
        return self.game.generator.classes

    @property
    def degrades(self) -> bool:
        """Whether it makes its sources of images."""
        return type(self.game.degrade).forward is not Degradation.forward

    def made(self, image: Image) -> Made:
        """The source and the output of an image. Raises UserError."""
        direction = image.direction if self.game.directions else None
        generator = generator_of(self.game, direction)
        generator, _ = with_label(image.label if generator.classes else None, generator, self.game, self.run)
        defaults = OmegaConf.load(conf_folder() / "translate.yaml")
        assert isinstance(defaults, DictConfig)
        own: dict[str, Any] = {key: defaults[key] for key in ("tile", "overlap", "mask")}
        own |= {"degrade_input": image.degrades and self.degrades, "seed": self._seed}
        translator = Translator(OmegaConf.create(own), generator, self.run.source.shape[0], self.run.device)
        return translator(image.name, decode_whole(image.content, image.name, translator.channels), None)


def facts_of_translators(runs: Sequence[PlayedTranslator]) -> Translating:
    """What the runs can be asked for: directions and labels are those of the first that has any."""
    changing = [run for run in runs if run.classes]
    directions = [run.game.directions for run in runs if run.game.directions]
    return Translating(
        names=tuple(run.name for run in runs),
        directions=directions[0] if directions else (),
        labels=label_names(changing[0].run, changing[0].classes) if changing else (),
        several=bool(changing) and changing[0].run.source.label_kind == "attributes",
        degrades=any(run.degrades for run in runs),
    )


def translations_of(runs: Sequence[PlayedTranslator]) -> Translate:
    """Applies each run, and shows its source before its output."""

    def shown(run: PlayedTranslator, image: Image) -> list[Shown]:
        made = run.made(image)
        stem = image.name.rpartition(".")[0] or image.name
        source = Shown(_picture(made.source), f"{image.name}, as {run.name} sees it", f"{stem}_source.png")
        return [source, Shown(_picture(made.output), run.name, f"{stem}.png")]

    return of_each(runs, shown)


def _picture(pixels: np.ndarray) -> Pictures.Image:
    return Pictures.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
