"""The interface of Python: ``ganexp.train``, ``ganexp.load`` and ``ganexp.runs``; see ``docs/python.md``.

Each composes and validates a configuration as the command line does. Where the command line prints one line and
exits, because of what a user can fix, they raise ``UserError`` with that line.
"""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from ganexp.cli.composing import as_user_error, composed, quoted
from ganexp.cli.hydra_app import group_choices
from ganexp.cli.runs import facts
from ganexp.config.resolvers import TIMESTAMP
from ganexp.config.stored import read_run
from ganexp.config.zoo import run_folder
from ganexp.errors import UserError
from ganexp.runs.saved_run import SavedRun, find_runs
from ganexp.system.openmp import limit_spinning

_Label = int | str | Sequence[int | str] | Mapping[str, int] | None
_Codes = Mapping[int, Any] | None

if TYPE_CHECKING:  # importing torch takes seconds; listing runs and reading their records does without
    import numpy as np
    import pandas as pd
    from PIL import Image
    from torch import nn

    from ganexp.games.request import Inputs
    from ganexp.training.load import LoadedGenerator, OpenedRun


def train(*overrides: str) -> "TrainedRun":
    """Trains a run like ``ganexp train``: ``ganexp.train("loss=wgan_gp", "data=mnist", "epochs=5")``.

    It writes the same folder, ``outputs/<name>/<overrides>``, and prints the same lines. With a ``name`` that
    has been used, or with ``resume=<folder>``, it continues the run; a finished one is left alone. Raises
    UserError, for invalid settings before the folder is made; Diverged (a UserError) where the sentinel ends
    the run; KeyboardInterrupt after a signal, when the run has been saved.
    """
    limit_spinning()  # before anything imports torch
    with as_user_error():
        os.environ.pop(TIMESTAMP, None)  # each call is a command of its own, with its own default name
        cfg, hydra_cfg = composed("train", overrides)
        from ganexp.train import train as train_run

        train_run(cfg, Path(hydra_cfg.run.dir), group_choices(hydra_cfg.runtime.choices))
    return TrainedRun(Path(hydra_cfg.run.dir), trust=bool(cfg.trust) or cfg.resume is None)


def load(
    run: str | Path, *, checkpoint: str = "last", device: str = "auto", trust: bool = False
) -> "TrainedRun":
    """The run in a folder, ``outputs/<name>/<run>``, or ``zoo:<name>``; its generator is loaded when used.

    ``checkpoint``: last, best, or a file. ``device``: auto, cpu, cuda or mps. ``trust``: allow the run to load
    code that is not part of ganexp. Raises UserError where the folder is not a run, or needs ``trust``.
    """
    loaded = TrainedRun(run_folder(str(run)), checkpoint=checkpoint, device=device, trust=trust)
    _ = loaded.config  # reads and checks it
    return loaded


def runs(*folders: str | Path) -> "RunList":
    """The runs at or below the folders, by default ``outputs``, newest first. Needs no torch.

    Raises UserError where there is none.
    """
    records = find_runs(folders or ["outputs"])
    records.sort(key=lambda record: (str(record.manifest.get("start", "")), str(record.folder)), reverse=True)
    return RunList(TrainedRun(record.folder) for record in records)


class TrainedRun:
    """One run: its configuration, its records, and its averaged generator, each read when it is first used."""

    def __init__(
        self, folder: str | Path, *, checkpoint: str = "last", device: str = "auto", trust: bool = False
    ) -> None:
        limit_spinning()
        self.folder = Path(folder).expanduser()
        self._checkpoint, self._device, self._trust = checkpoint, device, trust

    def __repr__(self) -> str:
        record = self.record
        told = [record.status, f"{record.images:,} images", *([record.score] if record.score else [])]
        return f"<ganexp run {self.folder}: {', '.join(told)}>"

    @cached_property
    def config(self) -> DictConfig:
        """The stored configuration: ``run.config.optim.lr``. Raises UserError where it cannot be used."""
        return read_run(str(self.folder), trust=self._trust)

    @property
    def record(self) -> SavedRun:
        """What the run has written up to now: ``status``, ``images``, ``scores``, ``rows`` of metrics.jsonl."""
        return SavedRun(self.folder)

    @property
    def generator(self) -> "nn.Module":
        """The averaged generator on the device, in evaluation mode: ``generator(z)``, or ``(z, labels)``.

        Raises UserError where the checkpoint cannot be loaded.
        """
        return self._loaded.net

    def sample(
        self,
        n: int = 64,
        *,
        seed: int = 0,
        label: _Label = None,
        codes: _Codes = None,
        batch_size: int = 64,
    ) -> "np.ndarray":
        """``n`` samples: images [n, H, W, C] uint8, points [n, D] float32; those that ``ganexp sample`` writes.

        ``label``: the class of all samples, or of each, by number or name, for a conditional generator; or
        attributes, ``{"Smiling": 1}``, the others being 0. ``codes``: of InfoGAN's codes by their number, one
        value or one for each sample: ``{0: 3, 1: np.linspace(-2, 2, n)}``. ``batch_size``: samples generated
        at a time; their values do not depend on it. Raises UserError.
        """
        _, samples, _ = self._draw(n, seed, label, codes, batch_size)
        return self._opened.source.to_array(samples)[1]

    def show(
        self,
        n: int = 64,
        *,
        seed: int = 0,
        label: _Label = None,
        codes: _Codes = None,
        batch_size: int = 64,
    ) -> "Image.Image":
        """The same samples as one picture, a grid, which a notebook displays. Raises UserError."""
        from ganexp.games.sampling import draw_grid

        inputs, samples, columns = self._draw(n, seed, label, codes, batch_size)
        return draw_grid(self._opened.source, inputs, samples, columns)

    def evaluate(self, *overrides: str) -> dict[str, Any]:
        """Scores like ``ganexp evaluate``: ``run.evaluate("metrics=[fid,kid]")["scores"]["fid_cnn"]``.

        The result is appended to the run's evaluations.jsonl; ``floor`` has the scores of real samples, and
        ``ganexp.cli.evaluate.measure`` says what else there is. Checkpoint and device are by default those that
        the run was loaded with. Raises UserError.
        """
        with as_user_error():
            from ganexp.cli.evaluate import measure

            return measure(self._settings("evaluate", overrides))

    def _settings(self, verb: str, overrides: Sequence[str] = ()) -> DictConfig:
        """The validated configuration of a verb that reads this run."""
        names = [f"run={quoted(str(self.folder))}", f"checkpoint={quoted(self._checkpoint)}"]
        return composed(verb, [*names, f"device={self._device}", f"trust={self._trust}", *overrides])[0]

    @cached_property
    def _opened(self) -> "OpenedRun":
        with as_user_error():
            from ganexp.training.load import open_run

            return open_run(self._settings("sample"))

    @cached_property
    def _loaded(self) -> "LoadedGenerator":
        with as_user_error():
            loaded = self._opened.generator(self._checkpoint)
        loaded.net.eval().requires_grad_(False)
        return loaded

    def _draw(
        self, n: int, seed: int, label: _Label, codes: _Codes, batch_size: int
    ) -> "tuple[Inputs, np.ndarray, int]":
        """Inputs of ``n`` samples, the samples [n, ...] float32 as networks see them, and a grid's columns."""
        with as_user_error():
            from ganexp.cli.requested_each import request_of_each
            from ganexp.games.sampling import generate
            from ganexp.games.seeded_inputs import grid_inputs

            if n < 1 or batch_size < 1:
                raise UserError(f"n={n}, batch_size={batch_size}: both have to be at least 1")
            game, run = self._loaded.game, self._opened
            request = request_of_each(n, label, codes or {}, game, run)
            inputs, columns = grid_inputs(game, request, run.source, run.evaluated, seed, "sample")
            return inputs, generate(self._loaded.net, inputs, batch_size, run.device), columns


class RunList(list[TrainedRun]):
    """Runs in a list, newest first."""

    def rows(self) -> list[dict[str, Any]]:
        """A dict for each run with the keys of ``ganexp runs``.

        Settings (``optim.lr``), choices (``loss``), the last scores and metrics, ``status``, ``images``,
        ``run`` (its folder), ``age`` and ``seconds`` (both in seconds).
        """
        return [facts(run.record) for run in self]

    def to_dataframe(self) -> "pd.DataFrame":
        """The rows as a table of pandas. Raises UserError where pandas is not installed."""
        try:
            import pandas as pd
        except ImportError:
            raise UserError("to_dataframe() needs pandas: pip install pandas; rows() does without") from None
        return pd.DataFrame(self.rows())
