"""``ganexp play``: a page in the browser for runs, or for a GAN that learns points in the plane."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig

from ganexp.cli.composing import as_user_error, composed
from ganexp.cli.play_runs import PlayedRun, facts_of, pictures_of
from ganexp.cli.play_translators import PlayedTranslator, facts_of_translators, translations_of
from ganexp.config.targets import conf_folder
from ganexp.data.plane import Plane
from ganexp.errors import UserError
from ganexp.games.translation import Translation
from ganexp.play.sandbox import Sandbox, Settings
from ganexp.play.server import serve
from ganexp.training.build import build
from ganexp.training.load import open_run

if TYPE_CHECKING:
    from gradio import Blocks

_LEFT_OUT = ("loss/none", "penalties/path_length")
"""Choices that no GAN of points can be trained with: there is no loss, and it is for styles."""


def play(cfg: DictConfig) -> None:
    """Serves a page until Ctrl-C; see ``conf/play.yaml``. Raises UserError."""
    serve(page_of(cfg), cfg.port)


def page_of(cfg: DictConfig) -> "Callable[[], Blocks]":
    """What builds the page, which imports Gradio. Raises UserError for runs that cannot be opened."""
    if cfg.data is not None:
        return _plane(cfg)
    opened = []
    for folder in cfg.run:
        own = cfg.copy()
        own.run = folder
        run = open_run(own)
        opened.append((own, run, run.generator(cfg.checkpoint)))
    translators = [isinstance(loaded.game, Translation) for _, _, loaded in opened]
    if all(translators):
        return _translators([PlayedTranslator(own, run, loaded) for own, run, loaded in opened])
    if any(translators):
        raise UserError(
            "run: some make images from images and others from noise: a page shows one of these kinds"
        )
    return _runs([PlayedRun(own, run, loaded) for own, run, loaded in opened], cfg)


def _runs(runs: list[PlayedRun], cfg: DictConfig) -> "Callable[[], Blocks]":
    facts = facts_of(runs, cfg.sliders)

    def build_page() -> "Blocks":
        from ganexp.play.run_page import run_page

        return run_page(facts, pictures_of(runs), n=cfg.n, seed=cfg.seed)

    return build_page


def _translators(runs: list[PlayedTranslator]) -> "Callable[[], Blocks]":
    facts = facts_of_translators(runs)

    def build_page() -> "Blocks":
        from ganexp.play.translate_page import translate_page

        return translate_page(facts, translations_of(runs))

    return build_page


def _plane(cfg: DictConfig) -> "Callable[[], Blocks]":
    source = build(cfg.data)
    if not isinstance(source, Plane):
        raise UserError("data: this page is for points in the plane: set data=ring or data=grid")
    if cfg.spread is not None:
        source = replace(source, sigma=cfg.spread * _nearest(source.centres))

    def make(settings: Settings) -> Sandbox:
        return Sandbox(source, cfg.device, compose_training, cfg.seed, settings)

    def build_page() -> "Blocks":
        from ganexp.play.plane_page import plane_page

        return plane_page(make, {group: _choices(group) for group in ("loss", "penalties")})

    return build_page


def _nearest(centres: np.ndarray) -> float:
    """The smallest distance of two of the points [M, 2]; 1 of a single one."""
    distances = np.linalg.norm(centres[:, None] - centres, axis=2)[~np.eye(len(centres), dtype=bool)]
    return float(distances.min()) if distances.size else 1.0


def compose_training(overrides: Sequence[str]) -> DictConfig:
    """A validated configuration of ``ganexp train``. Raises UserError for what cannot be combined."""
    with as_user_error():
        return composed("train", overrides)[0]


def _choices(group: str) -> list[str]:
    files = sorted((conf_folder() / group).glob("*.yaml"))
    return [file.stem for file in files if f"{group}/{file.stem}" not in _LEFT_OUT]
