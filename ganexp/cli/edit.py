"""``ganexp edit``: inverts images into a run's latents, and moves them along a direction."""

from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from ganexp.cli.edit_direction import Edits, edits_for
from ganexp.cli.edit_identity import IdentityJudge
from ganexp.cli.edit_images import GivenImages, given_images, labels_for
from ganexp.cli.edit_report import LATENTS, SHEET, TABLE, Result, sheet, told, write_latents, write_table
from ganexp.cli.out_file import safe_name
from ganexp.data.picture import save_png
from ganexp.errors import UserError
from ganexp.latents.inversion import Inversion, Inverted
from ganexp.latents.latent_space import LatentSpace
from ganexp.latents.perceptual import Embedding
from ganexp.latents.space import space_of
from ganexp.metrics.paired import psnr_of_each
from ganexp.system.float32 import full_float32
from ganexp.system.rng import seed_for
from ganexp.system.terminal import plural, print_lines
from ganexp.training.build import build, build_as
from ganexp.training.load import OpenedRun, open_run

_ENCODERS = "encoders"


def edit(cfg: DictConfig) -> None:
    """Writes reconstructions, edits, a sheet and a table; see ``conf/edit.yaml``. Raises UserError."""
    run = open_run(cfg)
    loaded = run.generator(cfg.checkpoint)
    space = space_of(loaded.game, loaded.net, cfg.latents)
    inversion = build_as(Inversion, cfg.inversion, "inversion")
    inversion.check(space)
    if cfg.sort == "identity" and not cfg.among:
        raise UserError("sort=identity: among=0 does not find it: take sort=psnr")
    images = given_images(cfg, run)
    labels, labels_told = labels_for(cfg, space, images, run)
    edits = edits_for(cfg, space, run)
    folder = _folder(cfg, run, edits)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"out={folder}: it is a file: choose a folder")
    judge = IdentityJudge(cfg, run, images) if cfg.among else None
    inverted, encoder_told = _inverted(cfg, run, space, inversion, images, labels)
    result = _result(cfg.sort, _Editor(cfg, run, space, labels), judge, images, inverted, edits)
    try:
        _write(result, edits, folder, cfg.rows)
    except OSError as error:
        raise UserError(f"out={folder}: cannot be written: {error.strerror or error}") from None
    lines = told(result, edits) + encoder_told
    lines += [f"conditioned on {labels_told}"] if labels is not None else []
    each = (
        f" and {plural(len(edits.strengths), 'edit')} of each along {edits.about}" if edits is not None else ""
    )
    count = plural(len(images.stems), "reconstruction")
    print_lines("\n".join([*lines, f"{count}{each}, with {SHEET} and {TABLE}: {folder}"]))


def _inverted(
    cfg: DictConfig,
    run: OpenedRun,
    space: LatentSpace,
    inversion: Inversion,
    images: GivenImages,
    labels: Tensor | None,
) -> tuple[Inverted, list[str]]:
    """The latents of the images, and a line about the encoder. Raises UserError."""
    embed: Embedding = build(cfg.perceptual)(run.source, run.data, run.device)
    encoder = inversion.trained_encoder(space, run.folder / _ENCODERS)
    inverted = inversion.invert(
        space,
        embed,
        run.source.decode(torch.from_numpy(images.stored)),
        labels,
        encoder=encoder,
        seed=seed_for(cfg.seed, "inversion"),
        batch_size=cfg.batch_size,
    )
    if encoder is None:
        return inverted, []
    started = f"{inverted.starts.count('encoder')} of {len(inverted.starts)}"
    share = f"{encoder.explained:.0%}"
    return inverted, [
        f"the encoder explains {share} of new samples' latents, and {started} images started from it"
    ]


class _Editor:
    """Makes images [N, C, H, W] uint8 of points, always in the same batches: equal points give equal bytes."""

    def __init__(self, cfg: DictConfig, run: OpenedRun, space: LatentSpace, labels: Tensor | None) -> None:
        self._space, self._source, self._batch_size = space, run.source, cfg.batch_size
        self._labels = labels if space.takes_labels else None

    @full_float32()
    def __call__(self, points: Tensor) -> np.ndarray:
        return self._source.encode(self._space.samples(points, self._labels, self._batch_size))


def _result(
    sort: str | None,
    editor: _Editor,
    judge: IdentityJudge | None,
    images: GivenImages,
    inverted: Inverted,
    edits: Edits | None,
) -> Result:
    reconstructed, edited = editor(inverted.points), {}
    if edits is not None:
        edited = {one: editor(edits.moved(inverted.points, one)) for one in edits.strengths}
    psnr = psnr_of_each(reconstructed, images.stored)
    identity = None if judge is None else judge(reconstructed, edited, edits)
    ranks = np.zeros(len(psnr)) if identity is None else identity.ranks
    keys = {None: np.zeros(len(psnr)), "psnr": -psnr, "identity": ranks}
    order = np.argsort(keys[sort], kind="stable")
    return Result(images, inverted, reconstructed, edited, psnr, identity, order)


def _folder(cfg: DictConfig, run: OpenedRun, edits: Edits | None) -> Path:
    if cfg.out:
        return Path(cfg.out).expanduser()
    return run.folder / "samples" / ("edit" if edits is None else f"edit_{safe_name(edits.name)}")


def _write(result: Result, edits: Edits | None, folder: Path, rows: int) -> None:
    """Raises OSError."""
    sets = {"input": result.images.stored, "reconstruction": result.reconstructed}
    if edits is not None:
        sets |= {f"{safe_name(edits.name)}_{strength:+g}": made for strength, made in result.edited.items()}
    for name, made in sets.items():
        for stem, image in zip(result.images.stems, made, strict=True):
            pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
            save_png(Image.fromarray(pixels), folder / f"{stem}_{name}.png")
    write_table(result, folder / TABLE)
    write_latents(result, folder / LATENTS)
    save_png(sheet(result, rows), folder / SHEET)
