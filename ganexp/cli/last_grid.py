"""Shows a finished run's last grid of samples in terminals that can show pictures."""

from contextlib import suppress
from pathlib import Path

from PIL import Image

from ganexp.runs.records import grids
from ganexp.system.terminal_image import show


def show_last_grid(folder: Path) -> None:
    """Prints the grid, unless this is no terminal, or one without pictures, or the file cannot be read."""
    for grid in grids(folder)[-1:]:
        with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError), Image.open(grid) as file:
            show(file.convert("RGB"))
