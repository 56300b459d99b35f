"""Hostile checkpoints: damaged bytes, wrong shapes and values with a correct checksum, pickled code."""

import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fuzzing.case import ANY_STATUS, ODD_VALUES, REFUSED, Case, CasePaths, changed, damaged
from fuzzing.runs import copied
from ganexp.system.tensor_file import digest, read, save_tensors


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


def checkpoint(rng: random.Random, paths: CasePaths) -> Case:
    """A checkpoint that is damaged, forged, or another kind of file."""
    run = copied(rng, paths)
    file = run / "checkpoints" / "last.pt"
    for other in file.parent.glob("*.pt"):
        if other != file:
            other.unlink()
    how = rng.choice(["bytes", "value", "value", "tensor", "tensor", "size", "code", "text"])
    allowed = ANY_STATUS
    if how == "bytes":
        file.write_bytes(damaged(rng, file.read_bytes()))
    elif how == "value":
        _save_with_checksum(changed(rng, read(file)), file)
    elif how == "tensor":
        _save_with_checksum(_with_tensor(rng, read(file)), file)
    elif how == "size":
        _oversized(rng, read(file), file)
        allowed = REFUSED
    elif how == "code":
        with file.open("wb") as stream:
            torch.save({"format": 2, "content": _Code()}, stream) if rng.random() < 0.5 else stream.write(
                pickle.dumps(_Code())
            )
        allowed = REFUSED
    else:
        file.write_bytes(rng.choice([b"", b"text", b"PK\x03\x04", b"\x80\x02."]))
        allowed = REFUSED
    verb = rng.choice(["sample", "evaluate", "neighbours", "train"])
    more = {
        "sample": ["checkpoint=last", "n=4"],
        "evaluate": ["checkpoint=last", "count=40", "features=pixels", "metrics=swd"],
        "neighbours": ["checkpoint=last", "n=2", "count=20"],
    }
    if verb == "train":
        return Case(["train", f"resume={run}", "epochs=3"], allowed)
    return Case([verb, f"run={run}", *more[verb]], allowed)


def _save_with_checksum(content: Any, file: Path) -> None:
    """Writes a checkpoint with a correct checksum."""
    try:
        save_tensors(content, file)
    except Exception:  # a value that no checkpoint can hold
        torch.save({"format": 2, "sha256": "", "content": repr(content)[:1000]}, file)


def _oversized(rng: random.Random, content: dict[str, Any], file: Path) -> None:
    """Writes a tensor whose shape exceeds all memory: a small storage expanded, or a meta tensor."""
    huge = torch.zeros(1).expand(10**11) if rng.random() < 0.5 else torch.empty(10**11, device="meta")
    place, key = rng.choice([pair for pair in _tensors(content)])
    checksum = digest(content)
    place[key] = huge
    torch.save({"format": 2, "sha256": checksum, "content": content}, file)


def _with_tensor(rng: random.Random, content: dict[str, Any]) -> dict[str, Any]:
    """One tensor replaced by NaN, infinity, another shape, dtype or layout, or an odd value."""
    place, key = rng.choice([pair for pair in _tensors(content)])
    tensor: Tensor = place[key]
    made: list[Callable[[], Any]] = [
        lambda: torch.full_like(tensor.float(), float("nan")),
        lambda: torch.full_like(tensor.float(), float("inf")),
        lambda: tensor.double(),
        lambda: tensor.bool(),
        lambda: tensor.to(torch.complex64),
        lambda: tensor.to_sparse() if tensor.dim() else tensor[None],
        lambda: tensor.reshape(-1)[:1],
        lambda: torch.empty(0),
        lambda: torch.zeros([2] * 9),
        lambda: torch.zeros(3, 1000),
        lambda: torch.zeros(1),
        lambda: torch.tensor(-1),
        lambda: rng.choice(ODD_VALUES),
    ]
    place[key] = rng.choice(made)()
    return content


def _tensors(node: Any) -> list[tuple[Any, Any]]:
    """The container and the key of every tensor in nested dicts and lists."""
    found: list[tuple[Any, Any]] = []
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else []
    for key, value in pairs:
        found += [(node, key)] if isinstance(value, Tensor) else _tensors(value)
    return found


KINDS: dict[str, Any] = {"checkpoint": checkpoint}
