"""How much memory training takes, in a process of its own: what a process once took is never given back."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmark.contenders import Ganexp, contenders
from benchmark.workloads import BATCH, WORKLOADS, Place
from ganexp import train as training
from ganexp.data.store import OnDisk

if sys.platform != "win32":
    import resource


def peaks(name: str, who: str, place: Place, count: int) -> tuple[float, float]:
    """The most MB that this process has held in memory, and on the device, once this contender has trained."""
    contenders(name, place, count, 0)[who]().rate(2 * WORKLOADS[name].turns)
    return _peak(), torch.cuda.max_memory_allocated() / 1e6 if place.device == "cuda" else 0.0


def in_a_process(script: str, name: str, who: str, place: Place, count: int) -> tuple[float, float]:
    """See ``peaks``; ``script`` is the one that knows ``--once``."""
    roots = [word for real, root in place.roots.items() for word in (f"--{real}", root)]
    where = ["--device", place.device, "--precision", place.precision, *roots]
    command = [sys.executable, script, *where, "--once", name, who, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    host, device = json.loads(done.stdout.splitlines()[-1])
    return host, device


def from_disk(size: float, place: Place, seconds: float) -> str:
    """Trains on ``size`` GB of images that stay on disk, and tells what it held in memory.

    Pages of the file are counted apart: the system keeps them while nobody else wants the room. To see that it
    can do without them, run this where memory is limited (a container) with a set that is larger.
    """
    name = "mlp_28"
    count = max(BATCH, int(size * 1e9 / np.prod(WORKLOADS[name].shape)))
    most = {"RssAnon": 0.0, "RssFile": 0.0}
    real = training.one_step

    def step(*arguments: Any) -> None:
        real(*arguments)
        now = _resident()
        for key in most:
            most[key] = max(most[key], now.get(key, 0.0))

    with (
        tempfile.TemporaryDirectory(dir=".") as scratch,
        patch("ganexp.lab.store", OnDisk),
        patch.object(training, "one_step", step),
    ):
        where = f"+data.file={Path(scratch, 'noise.npy').absolute()}"
        target = "data._target_=benchmark.synthetic.NoiseOnDisk"
        overrides = [*Place(place.device, place.precision, {}).overrides(name, count), target, where]
        runner = Ganexp(overrides, warm=2)
        rate = runner.rate(20)
        rate = runner.rate(max(20, int(seconds * rate / BATCH)))
    return (
        f"{count:,} images, {size:g} GB, on disk: {rate:,.0f} images/s; at most {most['RssAnon']:,.0f} MB "
        f"of its own memory and {most['RssFile']:,.0f} MB of files' pages (the system's to take back)"
    )


def _peak() -> float:
    """The most MB that this process has held; on Linux ``ru_maxrss`` begins with what its parent held."""
    status = _resident()
    if status:
        return status["VmHWM"]
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def _resident() -> dict[str, float]:
    """MB that Linux says of this process, now and at most; nothing elsewhere."""
    file = Path("/proc/self/status")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    pairs = (line.split(":") for line in lines if line.startswith(("VmHWM:", "RssAnon:", "RssFile:")))
    return {key: float(value.split()[0]) * 1024 / 1e6 for key, value in pairs}
