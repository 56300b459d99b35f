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
from ganexp.sampling import generate
from ganexp.state import load_averaged
from ganexp.vault import chosen


def sample(cfg: DictConfig) -> None:
    """Writes what ``conf/sample.yaml`` describes and says where. Raises UserError."""
    folder = Path(cfg.run).expanduser()
    run = read_run(cfg.run, trust=cfg.trust)
    device = build(cfg.device)
    source: Source = build(run.data)
    game = build_game(run)
    labels, columns = game.grid_labels(cfg.n)
    if cfg.label is not None:
        game.check_label(cfg.label)
        labels = [cfg.label] * cfg.n
    found = chosen(folder / "checkpoints", cfg.checkpoint)
    load_averaged(game.generator, found.content)
    inputs = game.inputs(labels, torch.Generator().manual_seed(seed_for(cfg.seed, "sample")))
    samples = generate(game.generator.to(device), inputs, cfg.batch_size, device)
    name = f"sample_{cfg.n}_seed_{cfg.seed}" + ("" if cfg.label is None else f"_label_{cfg.label}")
    out = Path(cfg.out).expanduser() if cfg.out else folder / "samples" / name
    try:
        written = _WRITERS[cfg.format](out, samples, labels if len(inputs) > 1 else None, source, columns)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from None
    print(f"{len(samples)} samples: {written}")


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


_WRITERS = {"grid": _write_grid, "png": _write_images, "npz": _write_array}
