"""The files of ``ganexp translate``: images and masks that it reads, and the folder that it writes."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from ganexp.data.decode import Recipe, decode, decode_whole
from ganexp.data.file_tree import ENDINGS, FileTree
from ganexp.data.images import ImageFiles
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.system.atomic import replacing

_MARKER = ".ganexp_translate.json"
_SAVED_AS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
_QUALITY = 95
SHEET = "sheet.png"


class ImageList(NamedTuple):
    """Image files by name. ``single``: the path named one image, not a folder or zip of images.

    ``setting``: what named the path, such as ``input=photos``, for errors.
    """

    setting: str
    tree: FileTree
    names: Sequence[str]
    single: bool

    def read(self, name: str, channels: int) -> np.ndarray:
        """[channels, H, W] uint8. Raises UserError, which names the setting, where the image cannot be read."""
        try:
            return decode_whole(self.tree.read(name), name, channels)
        except UserError as error:
            raise UserError(f"{self.setting}: {error}; repair or remove it") from None


def listed(setting: str, path: str) -> ImageList:
    """The images that a path names. Raises UserError, which names the setting, where there are none."""
    root = Path(path).expanduser()
    if root.is_file() and root.suffix.lower() in ENDINGS:
        return ImageList(f"{setting}={path}", FileTree(root.parent), [root.name], single=True)
    if not root.exists():
        raise UserError(f"{setting}={path}: there is no such file or folder")
    try:
        tree = FileTree(root)
    except UserError as error:
        if root.is_file():
            raise UserError(
                f"{setting}={path}: it is no image, folder or zip (images end in {', '.join(ENDINGS)})"
            ) from None
        raise UserError(f"{setting}={path}: {error}") from None
    if not tree.names:
        raise UserError(f"{setting}={path}: there is no image in it")
    return ImageList(f"{setting}={path}", tree, tree.names, single=False)


class Masks:
    """The mask of each image. Raises UserError where an image has none.

    ``path``: one image for all of them, or a folder or zip with the images' names, whatever the endings.
    """

    def __init__(self, path: str, names: Sequence[str]) -> None:
        self._files = listed("mask", path)
        if self._files.single:
            self._name_of = dict.fromkeys(names, self._files.names[0])
            return
        known = {_without_ending(name): name for name in self._files.names}
        missing = [name for name in names if _without_ending(name) not in known]
        if missing:
            raise UserError(f"mask={path}: it has no mask of the name of {missing[0]}")
        self._name_of = {name: known[_without_ending(name)] for name in names}

    def of(self, name: str, size: Sequence[int]) -> np.ndarray:
        """The mask [1, H, W] of an image of size (H, W): float32, 1 in holes. Raises UserError."""
        own = self._name_of[name]
        pixels = self._files.read(own, 1)
        if list(pixels.shape[1:]) != list(size):
            raise UserError(
                f"mask {own} is {pixels.shape[2]} x {pixels.shape[1]}, and {name} is {size[1]} x {size[0]}: "
                "a mask has the size of its image"
            )
        between = pixels[(pixels != 0) & (pixels != 255)]
        if between.size:
            raise UserError(
                f"mask {own} has values such as {between[0]}: it has to be pure black (0) and white (255, in "
                "holes), in a format without loss such as PNG"
            )
        holes: np.ndarray = (pixels == 255).astype(np.float32)
        return holes


def decoded(images: ImageList, source: Source, hint: str = "") -> np.ndarray:
    """All images as the data set of ``source`` decodes its own: upright, made square by its crop, resized down.

    [N, C, H, W] uint8. ``hint``: of the message about an image that is no such one. Raises UserError.
    """
    crop = source.crop if isinstance(source, ImageFiles) else "centre"
    channels, side, _ = source.shape
    recipe = Recipe(channels, side, crop, setting="the run's data.resolution")
    found = np.empty((len(images.names), channels, side, side), np.uint8)
    bar = tqdm(images.names, desc="reading", unit=" images", delay=1, disable=None, leave=False)
    for row, name in enumerate(bar):
        try:
            found[row] = decode(images.tree.read(name), name, recipe)
        except UserError as error:
            raise UserError(f"{images.setting}: {error}{hint}") from None
    return found


def output_names(names: Sequence[str], ending: str) -> list[str]:
    """The names of the outputs: with another ending, which is added where names would else be equal.

    Raises UserError for a name that leads out of the folder, as a zip may contain.
    """
    for name in names:
        if PureWindowsPath(name).anchor or PurePosixPath(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(f"input: {name} would be written outside of the output folder")
    equal = Counter(_without_ending(name).lower() for name in names)
    kept = [name if equal[_without_ending(name).lower()] > 1 else _without_ending(name) for name in names]
    return [f"{name}.{ending}" for name in kept]


def holds_other_files(output: str, source: Path | None, marker: str) -> bool:
    """Whether the folder ``output`` has files, and not the ``marker`` of those that may be replaced.

    Raises UserError where it cannot be read, or is inside of ``source``, a folder or zip of images.
    """
    path = Path(output).expanduser()
    if source is not None and path.resolve().is_relative_to(source.expanduser().resolve()):
        raise UserError(f"output={output}: it is inside of the input: choose another folder")
    try:
        return path.exists() and not (path / marker).is_file() and any(path.iterdir())
    except OSError as error:
        raise UserError(f"output={output}: {error.strerror or error}") from None


class OutputFolder:
    """The folder for the outputs. Raises UserError where it holds files that translate did not write.

    A hidden file marks a folder that translate made, so that the next call may replace what is in it; it holds
    ``record``: what the outputs are made from.
    """

    def __init__(self, setting: str, images: ImageList, record: dict[str, str], *, overwrite: bool) -> None:
        self.path = Path(setting).expanduser()
        foreign = holds_other_files(setting, None if images.single else images.tree.root, _MARKER)
        if foreign and not overwrite:
            raise UserError(
                f"output={setting}: it has files that translate did not write: choose another folder, or "
                "replace those of equal names with overwrite=true"
            )
        self._record = None if foreign else record

    def save(self, name: str, pixels: np.ndarray) -> None:
        """Writes an image [C, H, W] uint8 in the format of the name's ending. Raises OSError."""
        if self._record is not None:  # not earlier: an error in the settings leaves no folder behind
            with replacing(self.path / _MARKER) as beside:
                beside.write_text(json.dumps(self._record, indent=1), encoding="utf-8")
            self._record = None
        picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        with replacing(self.path / name) as beside, beside.open("wb") as stream:
            picture.save(stream, _SAVED_AS[name.rpartition(".")[2]], quality=_QUALITY)


def _without_ending(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()
