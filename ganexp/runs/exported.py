"""The averaged generator as ``generator.safetensors`` in a folder with a ``config.yaml``: a run to look at.

Verbs that need the generator alone open such a folder as any other run. Safetensors hold numbers only.
"""

import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ganexp.errors import first_line
from ganexp.system.atomic import replacing
from ganexp.system.tensor_file import Damaged

_NAME = re.compile(r"step_\d{8,}(_epoch_\d{4,})?")


def write_generator(state: dict[str, Tensor], name: str, progress: dict[str, Any], file: Path) -> None:
    """Writes averaged weights and what they are after: ``name`` of the checkpoint, its steps and images."""
    counts = {key: str(int(progress[key])) for key in ("step", "images")}
    weights = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    with replacing(file) as temporary:
        temporary.write_bytes(save(weights, {"format": "pt", "checkpoint": name, **counts}))


def read_generator(file: Path) -> dict[str, Any]:
    """What a checkpoint has under ``name``, ``progress`` and ``ema``. Raises Damaged."""
    try:
        with safe_open(file, "pt") as stored:
            facts = stored.metadata() or {}
            weights = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise Damaged(f"{file} is damaged: {first_line(error)}") from None
    name, counts = facts.get("checkpoint", ""), [facts.get(key, "") for key in ("step", "images")]
    if not _NAME.fullmatch(name) or not all(re.fullmatch(r"\d{1,18}", count) for count in counts):
        raise Damaged(f"{file} was not written by ganexp export: its name or its counters are missing")
    step, images = map(int, counts)
    return {"name": name, "progress": {"step": step, "images": images}, "ema": weights}
