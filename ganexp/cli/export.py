"""``ganexp export``: a run's averaged generator as files for other programs, with a card."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ganexp.cli.export_card import Exported, describe
from ganexp.config.exported_files import GENERATOR, NAMES, PICTURE, PROGRAMS, RECORD
from ganexp.data.picture import save_png
from ganexp.errors import UserError
from ganexp.export.formats import FORMATS, check_packages, traced, written
from ganexp.export.portable import Exportable, exportable
from ganexp.games.game import Game
from ganexp.games.request import Request
from ganexp.games.sampling import draw_grid, generate
from ganexp.games.seeded_inputs import grid_inputs
from ganexp.games.translation import Translation
from ganexp.runs.exported import write_generator
from ganexp.runs.stored_checkpoints import LoadedCheckpoint
from ganexp.system.atomic import make_folder
from ganexp.system.terminal import print_lines
from ganexp.training.load import LoadedGenerator, OpenedRun, open_run

_SAMPLES, _BATCH = 64, 64

SAFETENSORS = "safetensors"


def export(cfg: DictConfig) -> None:
    """Writes the files and prints what they are; see ``conf/export.yaml``. Raises UserError."""
    wanted = _wanted(cfg.format)
    check_packages([name for name in wanted if name in FORMATS])
    run = open_run(cfg)
    loaded = run.generator(cfg.checkpoint)
    _check_direction(loaded.game, cfg.direction)
    folder = _folder(cfg, run)
    _check_folder(folder, run.folder)
    state = {name: weight.cpu().clone() for name, weight in loaded.net.state_dict().items()}
    picture = _samples(run, loaded)
    exported = exportable(loaded.game, loaded.net, run.source, cfg.direction)
    try:
        with make_folder(folder):
            for name in NAMES:  # what an earlier export left there
                (folder / name).unlink(missing_ok=True)
            files, differences = _write(wanted, exported, loaded.checkpoint, state, folder)
            if picture is not None:
                save_png(picture, folder / PICTURE)
            about = Exported(loaded.checkpoint, exported, files, differences)
            describe(cfg, run, about, folder)
    except OSError as error:
        raise UserError(f"out={folder}: cannot be written: {error.strerror or error}") from None
    for name, file in files.items():
        told = f", differs by at most {differences[name]:.1g}" if name in differences else ""
        print_lines(f"{name}: {folder / file}, {(folder / file).stat().st_size / 1e6:.2f} MB{told}")
    print_lines(f"how to load it: {folder / 'README.md'}")


def _wanted(formats: Any) -> list[str]:
    every = [SAFETENSORS, *FORMATS]
    named = [formats] if isinstance(formats, str) else list(formats)
    return every if "all" in named else [name for name in every if name in named]


def _samples(run: OpenedRun, loaded: LoadedGenerator) -> Image.Image | None:
    """A grid of samples; None for generators that are given real samples, which a grid would show."""
    if loaded.game.needs_reference:
        return None
    request = Request(loaded.game.preview_count(_SAMPLES))
    inputs, columns = grid_inputs(loaded.game, request, run.source, run.data, 0, "sample")
    samples = generate(loaded.net, inputs, _BATCH, run.device)
    return draw_grid(run.source, inputs, samples, columns)


def _check_direction(game: Game, direction: str | None) -> None:
    """Raises UserError where a direction is missing, or there is no such one."""
    if isinstance(game, Translation):
        game.chosen_translator(direction)
    elif direction is not None:
        raise UserError(f"direction={direction}: only runs that translate images have directions")


def _folder(cfg: DictConfig, run: OpenedRun) -> Path:
    if cfg.out:
        return Path(cfg.out).expanduser()
    return run.folder / ("export" if cfg.direction is None else f"export_{cfg.direction}")


def _check_folder(folder: Path, run: Path) -> None:
    """Raises UserError for a folder that has other files than those of an earlier export."""
    if folder.resolve() == run.resolve():
        raise UserError(f"out={folder}: is the run itself: choose another folder")
    if folder.is_dir() and not (folder / RECORD).is_file():
        interrupted = {GENERATOR, *PROGRAMS}  # an export that was stopped has not written its record
        others = sorted(path.name for path in folder.iterdir() if path.name not in interrupted)
        if others:
            raise UserError(f"out={folder}: has other files, such as {others[0]}: choose a new folder")


def _write(
    wanted: list[str],
    exported: Exportable,
    checkpoint: LoadedCheckpoint,
    state: dict[str, Tensor],
    folder: Path,
) -> tuple[dict[str, str], dict[str, float]]:
    """Writes the files of each format: their names, and the largest differences of those that are programs."""
    files, differences = {}, {}
    programs = [name for name in wanted if name in FORMATS]
    program = traced(exported) if programs else None
    for name in tqdm(programs, desc="exporting", delay=1, disable=None, leave=False):
        assert program is not None
        file, differences[name] = written(name, exported, program, folder)
        files[name] = file.name
    if SAFETENSORS in wanted:
        content = checkpoint.content
        write_generator(state, content["name"], content["progress"], folder / GENERATOR)
        files = {SAFETENSORS: GENERATOR, **files}
    return files, differences
