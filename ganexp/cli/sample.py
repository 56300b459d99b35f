"""``ganexp sample``: samples from a run's EMA generator. The same seed gives the same bytes."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from PIL import Image
from torch import nn

from ganexp.cli.out_file import safe_name
from ganexp.cli.ranked import ranked
from ganexp.cli.requested import Requested, requested
from ganexp.data.picture import save_png
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.request import Inputs
from ganexp.games.sampling import draw_grid, generate
from ganexp.games.seeded_inputs import grid_inputs
from ganexp.latents.truncation import set_truncation, truncated
from ganexp.metrics.classifier import predict_labels, trained_classifier
from ganexp.system.atomic import make_folder, replacing
from ganexp.system.terminal import plural, print_lines
from ganexp.training.load import OpenedRun, open_run

_MAX_ROWS = 40
_EMPTY = -0.75  # fills empty places of a grid, in [-1, 1]; as dark as the gaps between its images


def sample(cfg: DictConfig) -> None:
    """Writes samples and prints their path; see ``conf/sample.yaml``. Raises UserError."""
    run = open_run(cfg)
    source, device, loaded = run.source, run.device, run.generator(cfg.checkpoint, cfg.blend)
    asked, inputs, columns = sample_inputs(cfg, loaded.game, loaded.net, run)
    samples = generate(loaded.net, inputs, cfg.batch_size, device)
    name = safe_name(f"sample_{cfg.n}_seed_{cfg.seed}" + (f"_{asked.name}" if asked.name else ""))
    name += f"_{cfg.format}" if cfg.format in ("classes", "ranked") else ""
    name += "" if cfg.truncation is None else f"_truncation_{cfg.truncation:g}"
    name += "" if cfg.checkpoint == "last" else f"_{loaded.checkpoint.file.stem}"
    name += "" if cfg.blend.run is None else f"_blend_{cfg.blend.alpha:g}"
    out = Path(cfg.out).expanduser() if cfg.out else run.folder / "samples" / name
    try:
        if cfg.format == "grid":
            written = _write_grid(out, draw_grid(source, inputs, samples, columns))
        elif cfg.format == "classes":
            written = _write_grid(out, source.draw(*_by_class(samples, run)))
        elif cfg.format == "ranked":
            picture, told = ranked(samples, inputs, source)
            print_lines(told)
            written = _write_grid(out, picture)
        elif cfg.format == "npz":
            written = _write_array(out, samples, inputs, source)
        else:
            written = _write_files(out, samples, inputs, source, cfg.format)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from None
    rows = f" in {plural(asked.rows, 'row')}" if asked.rows else ""
    attributes = f" with {asked.set_attributes}, all other attributes 0" if asked.set_attributes else ""
    print_lines(f"{plural(len(samples), 'sample')}{rows}{attributes}: {written}")


def sample_inputs(cfg: DictConfig, game: Game, net: nn.Module, run: OpenedRun) -> tuple[Requested, Inputs, int]:
    """What is asked for, the generator's inputs in the order of a grid, and its columns. Raises UserError.

    By ``n``, ``seed``, ``label``, ``code``, ``truncation`` and ``format`` of the settings.
    """
    set_truncation(game, net, cfg.truncation)
    asked = requested(cfg, game, run)
    inputs, columns = grid_inputs(game, asked.request, run.source, run.evaluated, cfg.seed, "sample")
    return asked, truncated(game, net, asked.in_rows(inputs), cfg.truncation), columns


def _by_class(samples: np.ndarray, run: OpenedRun) -> tuple[np.ndarray, int]:
    """The samples sorted into one row per class by the data set's classifier, and the number of columns.

    All rows have the same number of places: those of a rare class may stay dark, of a frequent one only the
    first are in the picture. Raises UserError.
    """
    data, source, device = run.data(), run.source, run.device
    if source.label_kind != "classes":
        raise UserError("format=classes: this data's labels are several attributes: use format=grid")
    classes = len(data.classes)
    if classes > min(_MAX_ROWS, len(samples)):
        many = f"{classes} classes make too many rows for {plural(len(samples), 'sample')}"
        hint = f"use n={classes} or more" if classes <= _MAX_ROWS else "use format=grid"
        raise UserError(f"format=classes: {many}: {hint}")
    net, _, accuracy = trained_classifier(source, data, device)
    predicted = predict_labels(net, source.encode(samples), device)
    columns = len(samples) // classes
    grid = np.full((classes, columns, *samples.shape[1:]), _EMPTY, samples.dtype)
    for label in range(classes):
        chosen = samples[predicted == label][:columns]
        grid[label, : len(chosen)] = chosen
    counts = np.bincount(predicted, minlength=classes)
    counted = ", ".join(f"{name} {count}" for name, count in zip(data.classes, counts, strict=True))
    shown = "all of them are shown" if counts.max() <= columns else f"at most {columns} of each are shown"
    print_lines(f"classified with an accuracy of {accuracy:.2%} on real images, {shown}: {counted}")
    return grid.reshape(-1, *samples.shape[1:]), columns


def _write_grid(out: Path, picture: Image.Image) -> Path:
    file = out if out.suffix == ".png" else out.with_name(f"{out.name}.png")
    save_png(picture, file)
    return file


def _write_files(out: Path, samples: np.ndarray, inputs: Inputs, source: Source, form: str) -> Path:
    """Writes one file per sample, in the data's own file type, in one folder per class where there are labels.

    Raises UserError where the data have no such files.
    """
    if source.file_type is None or (form == "png" and source.file_type != "png"):
        if source.file_type is None:
            reason = "this data has no files of single samples"
        else:
            reason = f"this data's files are {source.file_type}: use format=files"
        raise UserError(f"format={form}: {reason}; format=grid draws samples, format=npz stores them as arrays")
    names = [f"{index:06d}.{source.file_type}" for index in range(len(samples))]
    if inputs.labels is not None and source.label_kind == "classes":
        names = [f"{label}/{name}" for label, name in zip(inputs.labels.tolist(), names, strict=True)]
    files = [out / name for name in names]
    with ExitStack() as stack:
        for folder in sorted({file.parent for file in files}):
            stack.enter_context(make_folder(folder))
        source.save(samples, files)
    return out


def _write_array(out: Path, samples: np.ndarray, inputs: Inputs, source: Source) -> Path:
    """Writes an npz: ``images`` [N, H, W, C] uint8, ``points`` [N, D] float32 ..., and what they are of.

    ``labels``, ``categories`` [N, A] int64 and ``continuous`` [N, B] float32 codes, each if there are any.
    """
    content = dict([source.to_array(samples)])
    for name in ("labels", "categories", "continuous"):
        if (part := getattr(inputs, name)) is not None:
            content[name] = part.numpy()
    file = out if out.suffix == ".npz" else out.with_name(f"{out.name}.npz")
    with replacing(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **content)
    return file
