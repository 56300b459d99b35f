"""The contenders: ganexp through its own training entry point, a textbook's loop, and the bare step."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import torch
from common import composed, silent

import ganexp.train as training
from benchmark import bare, textbook
from benchmark.peak import synchronise
from benchmark.textbook import Pair
from benchmark.workloads import BATCH, WORKLOADS, Place
from ganexp.runs.run import Run
from ganexp.training.build import build
from ganexp.training.precision import Precision


class Contender(Protocol):
    """A training loop that can be timed."""

    def rate(self, steps: int) -> float:
        """Real images per second over ``steps`` steps, without warm-up."""
        ...


@contextmanager
def settings_restored() -> Iterator[None]:
    """Restores torch's global precision settings, which ganexp and the bare step change."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = (products.fp32_precision, convolutions.fp32_precision, torch.backends.cudnn.deterministic)
    try:
        yield
    finally:
        products.fp32_precision, convolutions.fp32_precision, torch.backends.cudnn.deterministic = before


class Ganexp:
    """A complete run: data, log, EMA, grids, records, until its last checkpoint is on disk.

    Its start and the first ``warm`` steps, in which kernels are chosen, captured or compiled, are not timed.
    """

    def __init__(self, overrides: list[str], warm: int) -> None:
        self._overrides = [*overrides, "epochs=1000000"]
        self._warm = warm

    def rate(self, steps: int) -> float:
        cfg = composed([*self._overrides, f"max_steps={self._warm + steps}"])
        times: list[float] = []
        real_step, real_finish = training.train_step, Run.finish

        def step(experiment: Any, *rest: Any) -> None:
            real_step(experiment, *rest)
            if experiment.state.progress.step == self._warm:
                synchronise(experiment.state.device)
                times.append(time.perf_counter())

        def finish(run: Run, *rest: Any) -> None:
            real_finish(run, *rest)
            times.append(time.perf_counter())

        with ExitStack() as stack:
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            stack.enter_context(settings_restored())
            stack.enter_context(silent())
            stack.enter_context(patch.object(training, "train_step", step))
            stack.enter_context(patch.object(Run, "finish", finish))
            training.train(cfg, Path(scratch, "run"), {"loss": "-"})
        return steps * BATCH / (times[1] - times[0])


class Textbook:
    """The loop of ``textbook.py``, in float32 with torch's default settings."""

    def __init__(self, name: str, overrides: list[str], device: torch.device, workers: int) -> None:
        cfg, self._device = composed(overrides), device
        pair = Pair(build(cfg.arch.generator), build(cfg.arch.discriminator)).with_torch_layers()
        for net in pair:
            net.to(device)
        arrays = build(cfg.data).load()
        self._batches = textbook.batches(arrays.samples, arrays.labels, workers, device)
        self._step = (textbook.wgan_gp if WORKLOADS[name].turns > 1 else textbook.gan)(pair, device)

    def rate(self, steps: int) -> float:
        return _timed(lambda _: self._step(next(self._batches)), steps, self._device)


class Bare:
    """The step of ``bare.py``."""

    def __init__(self, name: str, place: Place, *, graphs: bool) -> None:
        cfg, self._device = composed(place.overrides(name, BATCH)), torch.device(place.device)
        self._precision, self.turns = place.precision, WORKLOADS[name].turns
        pair = Pair(build(cfg.arch.generator), build(cfg.arch.discriminator))
        for net in pair:
            net.to(self._device).to(memory_format=torch.channels_last)
        real = torch.rand(BATCH, *WORKLOADS[name].shape, device=self._device).mul_(2).sub_(1)
        real = real.contiguous(memory_format=torch.channels_last)
        lr, betas = (1e-4, (0.0, 0.9)) if self.turns > 1 else (2e-4, (0.5, 0.999))
        with settings_restored():
            players = bare.Bare(pair, real, Precision(self._precision, self._device), lr, betas)
            turns = (bare.wgan_gp if self.turns > 1 else bare.gan)(players)
            self._critic, self._generator = (bare.captured(turn) if graphs else turn for turn in turns)

    def step(self, number: int) -> None:
        """The critic's turn, and the generator's if it is due; ``number`` counts steps from 0."""
        self._critic()
        if (number + 1) % self.turns == 0:
            self._generator()

    def rate(self, steps: int) -> float:
        with settings_restored():
            Precision(self._precision, self._device)  # sets torch's global precision settings
            return _timed(self.step, steps, self._device)


def contenders(name: str, place: Place, count: int, workers: int) -> dict[str, Callable[[], Contender]]:
    """A factory of each contender by its name in the table; ``count``: the number of random images."""
    device, overrides = torch.device(place.device), place.overrides(name, count)
    cuda = device.type == "cuda"
    warm = (20 if cuda else 1) * WORKLOADS[name].turns
    ways = {"ganexp": list[str]()}
    if cuda:
        ways["ganexp, no graphs"] = ["device.graphs=false"]
        ways["ganexp, compiled"] = ["device.graphs=false", "device.compile=true"]
    found: dict[str, Callable[[], Contender]] = {
        way: lambda more=more: Ganexp([*overrides, *more], warm)  # type: ignore[misc]
        for way, more in ways.items()
    }
    found["textbook, fp32"] = lambda: Textbook(name, overrides, device, workers)
    found["bare"] = lambda: Bare(name, place, graphs=False)
    if cuda:
        found["bare, graphs"] = lambda: Bare(name, place, graphs=True)
    return found


def _timed(step: Callable[[int], None], steps: int, device: torch.device) -> float:
    synchronise(device)
    began = time.perf_counter()
    for number in range(steps):
        step(number)
    synchronise(device)
    return steps * BATCH / (time.perf_counter() - began)
