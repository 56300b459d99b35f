"""Runs of ``ganexp play`` that make samples from noise: what they can be asked for, and their pictures."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, Protocol, TypeVar

import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import Tensor

from ganexp.cli.sample import sample_inputs
from ganexp.errors import UserError
from ganexp.games.request import Inputs
from ganexp.games.sampling import draw_grid, generate
from ganexp.latents.directions import Directions, load_directions
from ganexp.latents.paths import BySpace
from ganexp.latents.space import space_of
from ganexp.latents.style_space import WSpace
from ganexp.latents.truncation import has_styles, set_truncation
from ganexp.metrics.classifier import has_labels
from ganexp.play.asked import Asked, Draw, Facts
from ganexp.play.html import Shown
from ganexp.system.rng import fork_rng
from ganexp.training.load import LoadedGenerator, OpenedRun

_PATH = BySpace()


class PlayedRun:
    """A run whose samples are looked at. Raises UserError where it has no latents, or no such directions."""

    def __init__(self, cfg: DictConfig, run: OpenedRun, loaded: LoadedGenerator) -> None:
        self.run, self.game, self.net = run, loaded.game, loaded.net
        self.name = name_of(run)
        self.space = space_of(self.game, self.net, cfg.latents)
        self._whole: Any = getattr(self.net, "truncation", None)
        self._batch_size = int(cfg.batch_size)
        self._directions: Directions | None = None
        if cfg.directions is not None:
            self._directions = load_directions(run.folder, cfg.directions, self.space)

    @property
    def sliders(self) -> tuple[str, ...]:
        """The names of the directions, or of the latents: of noise, not of codes."""
        if self._directions is not None:
            return tuple(f"direction {name}" for name in self._directions.names)
        return tuple(f"{self.space.name} {number}" for number in range(self.space.noise_size))

    @property
    def truncates(self) -> bool:
        """Whether its latents can be truncated."""
        try:
            set_truncation(self.game, self.net, self._whole if has_styles(self.net) else 1.0)
        except UserError:
            return False
        return True

    def picture(self, asked: Asked) -> Image.Image:
        """With no move and no other seed, that of ``ganexp sample``. Raises UserError."""
        inputs, columns = self._inputs(asked, asked.seed)
        if asked.share or any(asked.moves):
            points = self._moved(self._on_the_way(inputs, asked), asked.moves)
            labels = inputs.labels if self.space.takes_labels else None
            samples = self.space.samples(points, labels, self._batch_size)
        else:
            samples = generate(self.net, inputs, self._batch_size, self.run.device)
        return draw_grid(self.run.source, inputs, samples, columns)

    def _inputs(self, asked: Asked, seed: int) -> tuple[Inputs, int]:
        if has_styles(self.net):
            self.net.truncation = self._whole  # what an earlier picture has set
        own: dict[str, Any] = {"n": asked.n, "seed": seed, "format": "grid", "truncation": asked.truncation}
        own["label"] = asked.label if self.space.conditional else None
        own["code"] = {
            number: value for number, value in asked.codes.items() if number < len(self.game.code_kinds)
        }
        _, inputs, columns = sample_inputs(OmegaConf.create(own), self.game, self.net, self.run)
        return inputs, columns

    def _on_the_way(self, inputs: Inputs, asked: Asked) -> Tensor:
        """Points [N, size] between those of two seeds; codes and labels are those of the first."""
        points = self._points(inputs)
        if not asked.share:
            return points
        others = self._points(self._inputs(asked, asked.other_seed)[0]._replace(labels=inputs.labels))
        others[:, self.space.noise_size :] = points[:, self.space.noise_size :]
        if asked.share == 1:
            return others
        return _PATH(self.space, points, others, torch.tensor([asked.share]))[0]

    def _points(self, inputs: Inputs) -> Tensor:
        z = inputs.args[0]
        return self.space.of(z, inputs.labels) if isinstance(self.space, WSpace) else z.clone()

    def _moved(self, points: Tensor, moves: Sequence[float]) -> Tensor:
        """Points moved along each direction, or latent, by so many of its standard deviations."""
        deviations = self.space.moments().deviation
        for number, move in enumerate(moves[: len(self.sliders)]):
            if move and self._directions is not None:
                points = self._directions.moved(points, number, move)
            elif move:
                points[:, number] += move * deviations[number]
        return points


def facts_of(runs: Sequence[PlayedRun], sliders: int) -> Facts:
    """What the runs can be asked for: labels and codes are those of the first that has any."""
    longest = max((run.sliders for run in runs), key=len)
    conditional = [run for run in runs if run.space.conditional]
    codes = [run.game.code_kinds for run in runs if run.game.code_kinds]
    return Facts(
        names=tuple(run.name for run in runs),
        sliders=longest[:sliders],
        labels=label_names(conditional[0].run, conditional[0].space.classes) if conditional else (),
        several=bool(conditional) and conditional[0].run.source.label_kind == "attributes",
        codes=codes[0] if codes else (),
        truncates=all(run.truncates for run in runs),
    )


def pictures_of(runs: Sequence[PlayedRun]) -> Draw:
    """Draws a picture of each run."""

    def shown(run: PlayedRun, asked: Asked) -> list[Shown]:
        return [Shown(run.picture(asked), run.name, _file(run.name, asked))]

    return of_each(runs, shown)


class Played(Protocol):
    """What each kind of run of a page has."""

    run: OpenedRun
    name: str


_Run = TypeVar("_Run", bound=Played)
_Asked = TypeVar("_Asked")


def of_each(
    runs: Sequence[_Run], shown: Callable[[_Run, _Asked], list[Shown]]
) -> Callable[[_Asked], list[Shown | str]]:
    """What each run shows, or what is wrong; one at a time, because random states belong to the process."""
    lock = Lock()

    def draw(asked: _Asked) -> list[Shown | str]:
        found: list[Shown | str] = []
        for run in runs:
            try:
                with lock, fork_rng(run.run.device):
                    found += shown(run, asked)
            except UserError as error:
                found.append(f"{run.name}: {error}")
        return found

    return draw


def name_of(run: OpenedRun) -> str:
    """The last two folders of a run: of ``outputs/<name>/<run>``."""
    return "/".join(run.folder.resolve().parts[-2:])


def label_names(run: OpenedRun, count: int) -> tuple[str, ...]:
    """The names of classes or attributes; numbers where the data set, which knows them, is not there."""
    if has_labels(run.source):
        with suppress(UserError):
            names = tuple(map(str, run.data().classes))
            if len(names) == count:
                return names
    return tuple(map(str, range(count)))


def _file(name: str, asked: Asked) -> str:
    return f"{name.rpartition('/')[2]}_seed_{asked.seed}.png"
