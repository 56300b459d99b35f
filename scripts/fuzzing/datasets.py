"""Hostile data sets: damaged images of six formats, invalid labels, zips, published data sets."""

import gzip
import io
import json
import os
import random
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuzzing.case import ANY_STATUS, ODD_VALUES, REFUSED, Case, CasePaths, damaged

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")


def images(rng: random.Random, paths: CasePaths) -> Case:
    """A folder of valid images and of damaged ones in one format."""
    root, kind = paths.folder / "set", rng.choice(FORMATS)
    _write_valid_images(rng, root)
    for index in range(12):
        raw = damaged(rng, _encoded_image(rng, kind))
        (root / "a" / f"bad{index}.{kind.lower()}").write_bytes(
            raw if rng.random() < 0.9 else _decompression_bomb(rng)
        )
    return _read(rng, root)


def labels(rng: random.Random, paths: CasePaths) -> Case:
    """A ``labels.csv`` or ``dataset.json`` with contradictions, wrong types or damaged bytes."""
    root = paths.folder / "set"
    names, wrong = _write_valid_images(rng, root), rng.random() < 0.3
    if rng.random() < 0.5:
        lines = [f"{name},{n % 2}" for n, name in enumerate(names)]
        bad = rng.choice(
            ["a/0.png,999", "a/0.png", ",", "a/0.png," + "9" * 5000, 'x,"', "a/0.png,\x1b[31m", "\0"]
        )
        lines.insert(rng.randrange(len(lines)), bad)
        raw = "\n".join(lines).encode()
        (root / "labels.csv").write_bytes(damaged(rng, raw) if wrong else raw)
        return _read(rng, root, REFUSED if bad == "a/0.png,999" and not wrong else ANY_STATUS)
    pairs: list[Any] = [[name, n % 2] for n, name in enumerate(names)]
    label: Any = rng.choice(ODD_VALUES)
    pairs[rng.randrange(len(pairs))] = rng.choice([label, [names[0], label], [names[3], label], [label, 1]])
    text = json.dumps(rng.choice([{"labels": pairs}] * 5 + [{"labels": label}, pairs, label]))
    (root / "dataset.json").write_bytes(damaged(rng, text.encode()) if wrong else text.encode())
    return _read(rng, root)


def zips(rng: random.Random, paths: CasePaths) -> Case:
    """A zip with odd or duplicate names, a wrong declared size, damage, or a file that unpacks to 400 MB."""
    file = paths.folder / "set.zip"
    allowed, how = ANY_STATUS, rng.choice(["names", "damage", "damage", "bomb", "labels bomb", "lies"])
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        warnings.simplefilter("ignore")
        for index in range(3):
            archive.writestr(f"a/{index}.png", _encoded_image(rng, "PNG"))
        if how == "names":
            odd = [
                "../up.png",
                "/abs.png",
                "a/0.png",
                "\x1b[31m/x.png",
                "C:\\x.png",
                "a/\n.png",
                "x" * 300 + ".png",
            ]
            for name in odd:
                archive.writestr(name, _encoded_image(rng, "PNG"))
        elif how in ("bomb", "labels bomb"):
            allowed = REFUSED
            name = "a/bomb.png" if how == "bomb" else rng.choice(["labels.csv", "dataset.json"])
            with archive.open(name, "w", force_zip64=True) as stream:
                for _ in range(25):
                    stream.write(bytes(1 << 24))
    if how == "damage":
        file.write_bytes(damaged(rng, file.read_bytes()))
    elif how == "lies":
        raw = file.read_bytes()
        at = raw.rindex(b"PK\x01\x02")
        file.write_bytes(raw[: at + 24] + struct.pack("<I", rng.choice([0, 5, 2**31])) + raw[at + 28 :])
    return _read(rng, file, allowed)


def published(rng: random.Random, paths: CasePaths) -> Case:
    """Files of MNIST, MedMNIST or CIFAR-10, damaged or with wrong declared sizes."""
    root, name = paths.folder / "set", rng.choice(["mnist", "medmnist", "cifar10"])
    (root / "MNIST/raw").mkdir(parents=True)
    if name == "mnist":
        count = rng.choice([4, 4, 0, 5, 2**31])
        pixels = struct.pack(">4I", 0x803, count, 28, 28) + bytes(4 * 784)
        numbers = struct.pack(">2I", 0x801, 4) + bytes([0, 1, 2, rng.choice([3, 255])])
        for kind, raw in (("images-idx3", pixels), ("labels-idx1", numbers)):
            packed = gzip.compress(raw)
            file = root / f"MNIST/raw/train-{kind}-ubyte.gz"
            file.write_bytes(damaged(rng, packed) if rng.random() < 0.4 else packed)
    elif name == "medmnist":
        shape = rng.choice([(4, 28, 28), (4, 28, 28, 3), (4, 28), (), (0, 28, 28)])
        content = np.zeros(shape, rng.choice(["u1", "u1", "f8", "U3", "M8[s]"]))
        stream = io.BytesIO()
        np.savez(stream, train_images=content, train_labels=np.array([0, 1, 2, rng.choice([3, -1])]))
        raw = stream.getvalue()
        (root / "octmnist.npz").write_bytes(damaged(rng, raw) if rng.random() < 0.4 else raw)
    else:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as tar:
            for part in range(1, 6):
                member = tarfile.TarInfo(f"cifar-10-batches-bin/data_batch_{part}.bin")
                member.size = rng.choice([3073] * 20 + [6146, 100, 0])
                tar.addfile(member, io.BytesIO(bytes(member.size)))
        raw = stream.getvalue()
        (root / "cifar-10-binary.tar.gz").write_bytes(damaged(rng, raw) if rng.random() < 0.4 else raw)
    subset = ["data.subset=octmnist"] if name == "medmnist" else []
    return Case(["data", "prepare", f"data={name}", f"data.root={root}", *subset])


def _read(rng: random.Random, root: Path, allowed: frozenset[int] = ANY_STATUS) -> Case:
    verb = rng.choice(
        [["data", "info"], ["data", "prepare"], ["train", "max_steps=1", "arch=mlp", "evaluate.every=null"]]
    )
    how = "raise" if allowed == REFUSED else rng.choice(["raise", "skip"])
    size = rng.choice([[], ["data.resolution=8"]])
    return Case([*verb, "data=folder", f"data.root='{root}'", f"data.on_error={how}", *size], allowed)


def _write_valid_images(rng: random.Random, root: Path) -> list[str]:
    names = [f"{folder}/{index}.png" for folder in "ab" for index in range(4)]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(_encoded_image(rng, "PNG"))
    return names


def _encoded_image(rng: random.Random, kind: str) -> bytes:
    pixels = np.frombuffer(rng.randbytes(24 * 20 * 3), np.uint8).reshape(24, 20, 3)
    mode = rng.choice(["RGB", "L", "RGBA", "P", "1", "CMYK", "I;16"])
    stream, picture = io.BytesIO(), Image.fromarray(pixels)
    packing = rng.choice([None, "tiff_lzw", "tiff_deflate", "jpeg" if mode in ("RGB", "L") else "packbits"])
    options = {"compression": packing} if kind == "TIFF" else {}
    try:
        picture.convert(mode).save(stream, kind, **options)
    except (OSError, ValueError, KeyError):  # the format does not support the mode
        stream = io.BytesIO()
        picture.save(stream, kind)
    return stream.getvalue()


def _decompression_bomb(rng: random.Random) -> bytes:
    """A PNG of 74 bytes that declares more pixels than fit in memory, or slightly fewer than are refused."""
    width, height = rng.choice([(65_000, 65_000), (2**31 - 1, 2**31 - 1), (9_400, 9_400), (0, 5)])
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(99))),
    ]
    chunks = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def odd_files(rng: random.Random, paths: CasePaths) -> Case:
    """A folder with a pipe, a link, undecodable names, or a folder named like an image."""
    root = paths.folder / "set"
    _write_valid_images(rng, root)
    how = rng.choice(["pipe", "loop", "bytes", "folder", "device", "nothing", "control"])
    place = root / "a/odd.png"
    if how == "pipe":
        os.mkfifo(place)
    elif how == "bytes":
        Path(os.fsdecode(os.fsencode(root) + b"/a/\xff\xfe.png")).write_bytes(_encoded_image(rng, "PNG"))
        (Path(os.fsdecode(os.fsencode(root) + b"/\xff"))).mkdir()
        Path(os.fsdecode(os.fsencode(root) + b"/\xff/1.png")).write_bytes(_encoded_image(rng, "PNG"))
    elif how == "folder":
        place.mkdir()
    elif how == "control":
        (root / "\x1b[31m\nred").mkdir()
        (root / "\x1b[31m\nred/1.png").write_bytes(_encoded_image(rng, "PNG"))
        (root / "\x1b[31m\nred/2.png").write_bytes(b"")
    else:
        place.symlink_to({"loop": "odd.png", "device": "/dev/zero", "nothing": "/nothing"}[how])
    return _read(rng, root)


KINDS: dict[str, Any] = {
    "images": images,
    "labels": labels,
    "zip": zips,
    "published sets": published,
    "odd files": odd_files,
}
