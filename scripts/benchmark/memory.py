"""Peak memory of training, in a process of its own, because a process's peak never falls."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from common import peak_memory, resident

import ganexp.train as training
from benchmark.contenders import Ganexp, contenders
from benchmark.workloads import BATCH, WORKLOADS, Place
from ganexp.data.store import MemoryMap


def peaks(name: str, who: str, place: Place, count: int) -> tuple[float, float]:
    """Peak MB of this process in host memory and on the device, after a contender has trained."""
    contenders(name, place, count, 0)[who]().rate(2 * WORKLOADS[name].turns)
    return peak_memory(), torch.cuda.max_memory_allocated() / 1e6 if place.device == "cuda" else 0.0


def peaks_in_new_process(script: str, name: str, who: str, place: Place, count: int) -> tuple[float, float]:
    """``peaks`` in a new process; ``script`` must accept ``--once``."""
    roots = [word for real, root in place.roots.items() for word in (f"--{real}", root)]
    where = ["--device", place.device, "--precision", place.precision, *roots]
    command = [sys.executable, script, *where, "--once", name, who, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    host, device = json.loads(done.stdout.splitlines()[-1])
    return host, device


def from_disk(size: float, place: Place, seconds: float) -> str:
    """Trains on ``size`` GB of images that stay on disk; returns a line with speed and memory use.

    Pages of the mapped file are counted separately, because the system can evict them. To check that training
    works without them, run this in a container whose memory limit is below ``size``.
    """
    name = "mlp_28"
    count = max(BATCH, int(size * 1e9 / np.prod(WORKLOADS[name].shape)))
    most = {"RssAnon": 0.0, "RssFile": 0.0}
    real = training.train_step

    def step(*arguments: Any) -> None:
        real(*arguments)
        now = resident()
        for key in most:
            most[key] = max(most[key], now.get(key, 0.0))

    with (
        tempfile.TemporaryDirectory(dir=".") as scratch,
        patch("ganexp.training.experiment_data.store", MemoryMap),
        patch.object(training, "train_step", step),
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
