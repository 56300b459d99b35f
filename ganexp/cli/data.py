"""``ganexp data``: describes a data set, prepares it ahead of a run, and lists or clears the cache."""

from pathlib import Path

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig

from ganexp.data import cache
from ganexp.data.arrays import Arrays
from ganexp.data.picture import save_png
from ganexp.data.source import Source
from ganexp.errors import UserError, readable
from ganexp.system.terminal import plural, print_lines

_MAX_CLASSES_SHOWN = 20
_CHUNK = 4096


def prepare(cfg: DictConfig) -> None:
    """Writes a data set into the cache and prints the entry's folder. Raises UserError."""
    source: Source = instantiate(cfg.data, _convert_="all")
    entry = source.entry()
    if entry is None:
        print("this data set is generated on demand: there is nothing to prepare")
        return
    source.check_arrays(entry.open())
    print_lines(f"{plural(entry.meta['shape'][0], 'image')}, {_size(entry.size)}: {entry.folder}")


def info(cfg: DictConfig) -> None:
    """Prints a summary of a data set and saves a picture of some samples. Raises UserError."""
    source: Source = instantiate(cfg.data, _convert_="all")
    entry = source.entry()
    data = source.for_training(source.check_arrays(entry.open()) if entry else source.load())
    name = type(source).__name__.lower()
    rows = [
        ("samples", f"{len(data.samples):,} of {' x '.join(map(str, data.samples.shape[1:]))}"),
        *_source_row(data),
        (source.label_kind, _labels(data)),
        *_moments(data, source.value_range),
        ("fingerprint", data.fingerprint),
    ]
    if entry:
        rows.append(("cache", f"{_size(entry.size)} in {entry.folder}"))
        if entry.meta["left_out"]:
            rows.append(("left out", _left_out(entry)))
    out = Path(cfg.out).expanduser() if cfg.out else Path("outputs/data", f"{name}.png")
    rows_shown = np.sort(np.random.default_rng(0).permutation(len(data.samples))[: source.preview_count])
    write_error = None
    try:
        save_png(source.draw_stored(data.samples[rows_shown], 8, _sources(source, data, rows_shown)), out)
    except OSError as error:
        write_error = f"{out}: cannot be written: {error.strerror or error}"
    rows.append(("picture", write_error or str(out)))
    for key, value in rows:
        print(readable(f"{key:12} {value}"))
    if write_error and cfg.out:  # a failure is an error only at a path that the user gave
        raise UserError(f"out={write_error}")


def list_entries() -> None:
    """Lists the cache entries."""
    entries = cache.entries()
    for entry in entries:
        shape = " x ".join(map(str, entry.meta["shape"]))
        print_lines(f"{entry.meta['name']:14} {shape:22} {_size(entry.size):>9}  {entry.folder.name}")
    total = sum(entry.size for entry in entries)
    print_lines(f"{plural(len(entries), 'prepared set')}, {_size(total)} in {cache.cache_folder()}")


def clear_cache() -> None:
    """Removes all cache entries; they are made again when a run needs them."""
    print_lines(f"{_size(cache.clear())} freed in {cache.cache_folder()}")


def _sources(source: Source, data: Arrays, rows: np.ndarray) -> np.ndarray | None:
    """The sources that belong to the samples of these rows, if there are any."""
    return data.sources[rows] if data.sources is not None and source.paired else None


def _source_row(data: Arrays) -> list[tuple[str, str]]:
    if data.sources is None:
        return []
    return [("sources", f"{len(data.sources):,} of {' x '.join(map(str, data.sources.shape[1:]))}")]


def _left_out(entry: cache.CacheEntry) -> str:
    """How many files were skipped, the first reason, and the file that lists all of them."""
    reasons = entry.meta["left_out"]
    more = f"; all are listed in {entry.folder / 'meta.json'}" if len(reasons) > 1 else ""
    return f"{len(reasons):,}, the first: {reasons[0]}{more}"


def _labels(data: Arrays) -> str:
    """The number of samples of each class or attribute."""
    if data.labels.ndim == 2:
        counts = np.count_nonzero(data.labels, axis=0)
    else:
        counts = np.bincount(data.labels, minlength=len(data.classes))
    shown = [f"{name} {count:,}" for name, count in zip(data.classes, counts, strict=True)][:_MAX_CLASSES_SHOWN]
    hidden = len(data.classes) - len(shown)
    return f"{len(data.classes)}: {', '.join(shown)}{f', and {hidden:,} more' if hidden else ''}"


def _moments(data: Arrays, scale: float) -> list[tuple[str, str]]:
    """Mean and standard deviation of each channel of samples [N, C, ...] divided by ``scale``."""
    axes = tuple(axis for axis in range(data.samples.ndim) if axis != 1)
    total, squares, count = 0.0, 0.0, 0
    for start in range(0, len(data.samples), _CHUNK):
        chunk = data.samples[start : start + _CHUNK].astype(np.float64) / scale
        total, squares = total + chunk.sum(axes), squares + (chunk**2).sum(axes)
        count += chunk.size // chunk.shape[1]
    mean = np.asarray(total / count)
    deviation = np.sqrt(np.maximum(np.asarray(squares / count) - mean**2, 0))
    return [
        (name, ", ".join(f"{v:.4f}" for v in values))
        for name, values in (("mean", mean), ("deviation", deviation))
    ]


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
