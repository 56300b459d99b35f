"""``ganexp sample``: images from a run's averaged generator. The same seed gives the same bytes."""

from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig

from ganexp.build import build, build_game
from ganexp.config.settle import read_run
from ganexp.data.batches import seed_for
from ganexp.data.picture import save_png
from ganexp.data.source import Images, Source, to_uint8
from ganexp.errors import UserError
from ganexp.lab import load
from ganexp.metrics.classifier import labels_of, trained
from ganexp.sampling import generate, with_own_statistics
from ganexp.state import load_averaged
from ganexp.vault import chosen

_MOST_ROWS = 40
_DARK = -0.75  # the colour between the images of a grid, in [-1, 1]


def sample(cfg: DictConfig) -> None:
    """Writes what ``conf/sample.yaml`` describes and says where. Raises UserError."""
    folder = Path(cfg.run).expanduser()
    run = read_run(cfg.run, trust=cfg.trust)
    device = build(cfg.device).device
    source: Source = build(run.data)
    game = build_game(run)
    labels, columns = game.grid_labels(cfg.n)
    if cfg.label is not None:
        game.check_label(cfg.label)
        labels = [cfg.label] * cfg.n
    found = chosen(folder / "checkpoints", cfg.checkpoint)
    load_averaged(game.generator, found.content)
    inputs = game.inputs(labels, torch.Generator().manual_seed(seed_for(cfg.seed, "sample")))
    generator = with_own_statistics(game, game.generator.to(device), device)
    samples = generate(generator, inputs, cfg.batch_size, device)
    name = f"sample_{cfg.n}_seed_{cfg.seed}" + ("" if cfg.label is None else f"_label_{cfg.label}")
    name += "_classes" if cfg.format == "classes" else ""
    name += "" if cfg.checkpoint == "last" else f"_{found.file.stem}"
    out = Path(cfg.out).expanduser() if cfg.out else folder / "samples" / name
    try:
        if cfg.format == "classes":
            samples, columns = _by_class(samples, source, device, own=cfg.trust)
        written = _WRITERS[cfg.format](out, samples, labels if len(inputs) > 1 else None, source, columns)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from None
    print(f"{cfg.n} samples: {written}")


def _by_class(
    samples: np.ndarray, source: Source, device: torch.device, *, own: bool
) -> tuple[np.ndarray, int]:
    """The samples as a grid with a row for each class that the data set's classifier takes them for.

    Every class has as many places; what a generator seldom makes leaves some of them dark.
    """
    data = load(source, own=own)
    classes = len(data.classes)
    if classes > min(_MOST_ROWS, len(samples)):
        raise UserError(f"format=classes: {classes} classes make too many rows for {len(samples)} samples")
    net, _, accuracy = trained(data, device)
    found = labels_of(net, to_uint8(samples), device)
    columns = len(samples) // classes
    grid = np.full((classes, columns, *samples.shape[1:]), _DARK, samples.dtype)
    for label in range(classes):
        picked = samples[found == label][:columns]
        grid[label, : len(picked)] = picked
    counts = np.bincount(found, minlength=classes)
    told = ", ".join(f"{name} {count}" for name, count in zip(data.classes, counts, strict=True))
    print(f"by a classifier that is right on {accuracy:.2%} of real images: {told}")
    return grid.reshape(-1, *samples.shape[1:]), columns


def _write_grid(out: Path, samples: np.ndarray, labels: list[int] | None, source: Source, columns: int) -> Path:
    file = out if out.suffix == ".png" else out.with_name(f"{out.name}.png")
    save_png(source.draw(samples, columns), file)
    return file


def _write_images(
    out: Path, samples: np.ndarray, labels: list[int] | None, source: Source, columns: int
) -> Path:
    """A folder of PNGs of the images' own size; below a folder for each class if there are labels."""
    if not isinstance(source, Images):
        raise UserError("format=png: this run makes points; format=grid draws them, format=npz keeps them")
    for index, image in enumerate(samples):
        name = f"{index:06d}.png" if labels is None else f"{labels[index]}/{index:06d}.png"
        save_png(source.draw_one(image), out / name)
    return out


def _write_array(
    out: Path, samples: np.ndarray, labels: list[int] | None, source: Source, columns: int
) -> Path:
    """``images`` [N, H, W, C] uint8 or ``points`` [N, D] float32, and ``labels`` [N] if there are any."""
    if isinstance(source, Images):
        content = {"images": to_uint8(samples).transpose(0, 2, 3, 1)}
    else:
        content = {"points": samples}
    if labels is not None:
        content["labels"] = np.array(labels, np.int64)
    file = out if out.suffix == ".npz" else out.with_name(f"{out.name}.npz")
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, allow_pickle=False, **content)
    return file


_WRITERS = {"grid": _write_grid, "classes": _write_grid, "png": _write_images, "npz": _write_array}
