"""One checkpoint file: a dictionary of tensors and plain values, with a checksum over all of it.

The file is written by ``torch.save``, so ``torch.load(file, weights_only=True)`` opens it anywhere. It is
never read otherwise, so that an untrusted checkpoint cannot execute code.
"""

import hashlib
import re
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ganexp.errors import UserError, first_line
from ganexp.system.atomic import replacing

_FORMAT = 2
_MAX_VALUES = 1_000_000
_MAX_DEPTH = 64


class Damaged(UserError):
    """A checkpoint that cannot be used: truncated, altered, in another format, or one that would run code."""


def write(content: dict[str, Any], file: Path) -> None:
    """Replaces ``file`` atomically. Raises OSError, and keeps the old file, where the disk is full."""
    with replacing(file) as temporary:
        save_tensors(content, temporary)


def save_tensors(content: dict[str, Any], file: Path) -> None:
    """Writes tensors (on the CPU) and plain values. Raises OSError."""
    envelope = {"format": _FORMAT, "sha256": digest(content), "content": content}
    with file.open("wb") as stream:  # given a path, torch would not report a full disk
        try:
            torch.save(envelope, stream)
        except RuntimeError as error:  # torch raises it while it handles the OSError
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def read(file: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU. Raises Damaged."""
    if not file.is_file():
        raise Damaged(f"{file} is not there")
    try:
        with zipfile.ZipFile(file) as records:
            if any(record.compress_type != zipfile.ZIP_STORED for record in records.infolist()):
                raise ValueError("its records are compressed, and may unpack to any size")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kinds of tensors that are refused below
            envelope = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can cause any error
        raise Damaged(f"{file} is damaged: {_reason(error)}") from None
    if not isinstance(envelope, dict) or envelope.get("format") != _FORMAT:
        raise Damaged(f"{file} is no checkpoint of this version of ganexp")
    content = envelope.get("content")
    reason = _why_invalid(content, file.stat().st_size)
    if reason is not None:
        raise Damaged(f"{file} is damaged: {reason}")
    if not isinstance(content, dict) or digest(content) != envelope.get("sha256"):
        raise Damaged(f"{file} is damaged: its checksum is wrong")
    return content


def _why_invalid(content: Any, size: int) -> str | None:
    """Why ``save_tensors`` cannot have written ``content`` to a file of ``size`` bytes; None if it can have.

    A few bytes can encode any amount of data: a tensor whose strides are 0, one without storage, a list that
    holds another one many times, or itself. The checksum would have to process all of it.
    """
    bytes_left, values, stack = size, 0, [(content, 0)]
    while stack:
        node, depth = stack.pop()
        values += 1
        if depth > _MAX_DEPTH or values > min(size, _MAX_VALUES):
            return "it is nested without end"
        if isinstance(node, dict):
            bad_key = next((key for key in node if not _is_plain(key)), None)
            if bad_key is not None:
                return f"it has a key that is a {type(bad_key).__name__}"
            stack += [(value, depth + 1) for value in node.values()]
        elif isinstance(node, list | tuple):
            stack += [(value, depth + 1) for value in node]
        elif isinstance(node, Tensor):
            if node.layout != torch.strided or node.device.type != "cpu" or node.is_quantized:
                return "it holds a tensor without plain numbers"
            bytes_left -= node.numel() * node.element_size()
            if bytes_left < 0:
                return f"a tensor of {list(node.shape)} is larger than the file"
        elif not _is_plain(node):
            return f"it holds a {type(node).__name__}"
    return None


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, float | str) or (isinstance(value, int) and abs(value) < 2**64)


def digest(node: Any) -> str:
    """SHA-256 over every key, value, dtype, shape and byte of nested dicts, lists and tensors.

    Memory layout and device make no difference.
    """
    hasher = hashlib.sha256()
    _update_hash(hasher, node)
    return hasher.hexdigest()


def _update_hash(hasher: "hashlib._Hash", node: Any) -> None:
    if isinstance(node, dict):
        hasher.update(f"dict {len(node)};".encode())
        for key, value in node.items():
            hasher.update(f"{key!r}:".encode())
            _update_hash(hasher, value)
    elif isinstance(node, list | tuple):
        hasher.update(f"list {len(node)};".encode())
        for value in node:
            _update_hash(hasher, value)
    elif isinstance(node, Tensor):
        hasher.update(f"{node.dtype} {list(node.shape)};".encode())
        flat = node.detach().cpu().contiguous().reshape(-1)
        hasher.update(flat.view(torch.uint8).numpy().data)
    else:
        hasher.update(f"{node!r};".encode())


def _reason(error: Exception) -> str:
    if isinstance(error, UnpicklingError) and re.search("unsupported|blocked", str(error), re.IGNORECASE):
        return "it holds Python objects, which are never loaded"
    return first_line(error)
