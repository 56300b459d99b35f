"""``ganexp translate``: applies the generator of a trained image-to-image run to files of any size."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from ganexp.cli.translate_files import SHEET, ImageList, Masks, OutputFolder, listed, output_names
from ganexp.cli.translate_labels import with_label
from ganexp.cli.translate_sheet import ContactSheet
from ganexp.data.degradations.degradation import Degradation, reflected
from ganexp.data.images import to_uint8
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.tiling import Tiles, translated
from ganexp.games.translation import Restored, Translation
from ganexp.system.rng import fork_rng, seed_for
from ganexp.system.terminal import plural, print_lines
from ganexp.training.load import open_run


def translate(cfg: DictConfig) -> None:
    """Writes an output for each image, prints their number; see ``conf/translate.yaml``. Raises UserError."""
    run = open_run(cfg)
    loaded = run.generator(cfg.checkpoint, cfg.blend)
    generator = generator_of(loaded.game, cfg.direction)
    generator, labels_told = with_label(cfg.label, generator, loaded.game, run)
    images = listed("input", cfg.input)
    names = output_names(images.names, cfg.format)
    if cfg.sheet and SHEET in names:
        raise UserError(f"sheet=true: the input has an image of which {SHEET} is made: set sheet=false")
    masks = None if cfg.mask is None else Masks(cfg.mask, images.names)
    record = {"run": cfg.run, "checkpoint": loaded.checkpoint.file.name, "input": cfg.input}
    record |= {"label": labels_told.removeprefix(" with ")} if labels_told else {}
    folder = OutputFolder(cfg.output, images, record, overwrite=cfg.overwrite)
    translator = Translator(cfg, generator, run.source.shape[0], run.device)
    sheet = ContactSheet()
    try:
        with fork_rng(run.device):
            for name, made in zip(names, _each(translator, images, masks), strict=True):
                folder.save(name, made.output)
                if cfg.sheet:
                    sheet.add(made.source, made.output)
        if cfg.sheet:
            folder.save(SHEET, sheet.draw())
    except OSError as error:
        raise UserError(f"output={cfg.output}: cannot be written: {error.strerror or error}") from None
    sheet_told = f", the first of them in {SHEET}" if cfg.sheet else ""
    print_lines(f"{plural(len(names), 'image')}{labels_told}{sheet_told}: {folder.path}")


class Made(NamedTuple):
    """A source as an image [c, h, w], and the output [C, H, W], both uint8."""

    source: np.ndarray
    output: np.ndarray


class Translator:
    """The generator, with the settings that say how its sources are made from files.

    ``target_channels``: of the images that the generator makes. Raises UserError where the run cannot make
    sources of them, as ``degrade_input=true`` asks.
    """

    def __init__(
        self, cfg: DictConfig, generator: Restored, target_channels: int, device: torch.device
    ) -> None:
        self._generator = generator.to(device).eval()
        self._tiles = Tiles(cfg.tile, cfg.overlap)
        self._device = device
        self._rng = torch.Generator().manual_seed(seed_for(cfg.seed, "translate"))
        self._degrades = cfg.degrade_input
        self.channels = target_channels if cfg.degrade_input else generator.degrade.file_channels
        if cfg.degrade_input and cfg.mask is not None:
            raise UserError("mask: degrade_input=true makes holes of its own: set one of the two")
        if cfg.degrade_input and type(generator.degrade).forward is Degradation.forward:
            raise UserError(
                "degrade_input=true: this run has sources of its own data set, and makes none from images"
            )

    @torch.inference_mode()
    def __call__(self, name: str, pixels: np.ndarray, mask: np.ndarray | None) -> Made:
        """``pixels`` [channels, H, W] uint8; ``mask`` [1, H, W] float32, 1 in holes. Raises UserError."""
        image = torch.from_numpy(pixels.astype(np.float32))[None].to(self._device) / 127.5 - 1
        source = self._degraded(image) if self._degrades else self._from_image(image, mask)
        torch.manual_seed(0)  # for generators that draw noise of their own
        output = translated(self._generator, source, self._tiles, name)
        if self._degrades:
            output = output[:, :, : image.shape[2], : image.shape[3]]
        return Made(_pixels(self._generator.degrade.shown(source)), _pixels(output))

    def _from_image(self, image: Tensor, mask: np.ndarray | None) -> Tensor:
        holes = None if mask is None else torch.from_numpy(mask)[None].to(self._device)
        return self._generator.degrade.from_image(image, holes)

    def _degraded(self, image: Tensor) -> Tensor:
        """The source of an image, continued so that a source of lower resolution covers all of it."""
        scale = int(getattr(self._generator.net, "scale", 1))
        bottom, right = (-side % scale for side in image.shape[2:])
        degraded: Tensor = self._generator.degrade(reflected(image, bottom, right), self._rng)
        return degraded


def generator_of(game: Game, direction: str | None) -> Restored:
    """The game's generator of images from images. Raises UserError where it makes none, or not that way."""
    name = type(game).__name__
    if not isinstance(game, Translation):
        raise UserError(
            f"run: {name} makes images from noise, and translate needs a run that makes images from images, "
            "such as one of game=pix2pix; ganexp sample draws samples of this one"
        )
    return game.chosen_translator(direction)


def _each(translator: Translator, images: ImageList, masks: Masks | None) -> Iterator[Made]:
    for name in tqdm(images.names, desc="translating", unit=" images", delay=1, disable=None, leave=False):
        pixels = images.read(name, translator.channels)
        mask = None if masks is None else masks.of(name, pixels.shape[1:])
        yield translator(name, pixels, mask)


def _pixels(images: Tensor) -> np.ndarray:
    """The only image [1, C, H, W] in [-1, 1] as [C, H, W] uint8."""
    return to_uint8(images[0].cpu().numpy())
