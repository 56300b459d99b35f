"""Chooses ``device.precision=auto`` on a CPU: bf16 where it is faster than float32, else float32.

A processor with bf16 instructions (AVX512-BF16 or AMX) is asked to train a convolution and a linear layer for a
moment in both. The answer is kept in the cache, so that all runs on a machine compute alike.
"""

import json
import time
from pathlib import Path

import torch
from filelock import FileLock
from torch import nn

from ganexp.data.cache import cache_folder
from ganexp.system.atomic import replacing
from ganexp.system.cpus import processor_name
from ganexp.system.rng import fork_rng

MIN_SPEEDUP = 1.2
"""bf16 has to be this much faster than float32; less is within the noise of a busy machine."""

_BATCH, _ROUNDS = 64, 5


def has_instructions(name: str) -> bool | None:
    """Whether the CPU has instructions for bf16 or fp16; None where torch cannot tell."""
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    kinds = [has for instructions, has in known.items() if instructions.endswith(name)]
    return any(kinds) if kinds else None


def fastest_on_cpu() -> tuple[str, str | None]:
    """``bf16`` or ``fp32``, and the reason, for the log; None where the CPU has no bf16 instructions."""
    if not has_instructions("bf16"):
        return "fp32", None
    speedup = _known_speedup()
    name = "bf16" if speedup >= MIN_SPEEDUP else "fp32"
    return name, f"on this CPU, bf16 is {speedup:.2g} times as fast as fp32"


def _known_speedup() -> float:
    """The speed-up of bf16 on this processor with this torch, from the cache or measured."""
    file = cache_folder() / "bf16_speedup.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    key = f"{processor_name()}, torch {torch.__version__}"
    with FileLock(file.with_suffix(".lock")):
        known = _read(file)
        if key not in known:
            known[key] = measure_speedup()
            with replacing(file, file.parent) as beside:
                beside.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return known[key]


def _read(file: Path) -> dict[str, float]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    plain = content if isinstance(content, dict) else {}
    return {key: value for key, value in plain.items() if isinstance(value, float)}


def measure_speedup() -> float:
    """How many times as fast as in float32 two layers train in bf16 on this CPU; takes about a second."""
    with fork_rng(torch.device("cpu")):
        conv = nn.Conv2d(64, 128, 4, 2, 1).to(memory_format=torch.channels_last)
        linear = nn.Linear(1024, 1024)
        images = torch.rand(_BATCH, 64, 16, 16).contiguous(memory_format=torch.channels_last)
        vectors = torch.rand(_BATCH, 1024)

        def seconds(enabled: bool) -> float:
            began = time.perf_counter()
            for layer, inputs in ((conv, images), (linear, vectors)):
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
                    output = layer(inputs)
                torch.autograd.backward(output.float().mean())
            return time.perf_counter() - began

        seconds(True), seconds(False)  # the first calls choose kernels
        pairs = [(seconds(False), seconds(True)) for _ in range(_ROUNDS)]
    return min(slow for slow, _ in pairs) / min(fast for _, fast in pairs)
