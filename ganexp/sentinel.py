"""The sentinel: detects failing runs from scalars that are read at an epoch's end anyway.

    nonfinite   a loss, a gradient norm or a weight norm is not finite; or fp16's loss scale is so low that
                gradients overflow at any scale. A single overflow is no failure: it is how the scale is found
                (Micikevicius et al. 2018, section 3.2), and that step is skipped
    vanished    the discriminator is too strong: every player's gradient norm is a small share of its maximum
                so far, or one player's is almost zero (Arjovsky & Bottou 2017, theorem 2.4, gives the reason).
                Only players with an adversarial loss are checked: the gradient of a regression should vanish
    collapsed   samples of the same latents differ from one another far less than real samples do, or than
                they did earlier in the run

No step waits for the device: sums are kept there (``meter.py``), and one non-finite term makes its sum
non-finite.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from ganexp.config.ranges import Count, Positive, Share, Whole

SCALE = "precision/scale"
"""The name of fp16's loss scale among a run's scalars."""

_PATIENCE = 2
"""Consecutive epochs that must fail a check before it raises an alarm: a single one may be chance."""


_MIN_SCALE = 1e-4
"""The lowest fp16 loss scale (it starts at 65,536). Below it, gradients exceed 10^8; fairseq's limit too."""

_DIVERSITY = "sentinel/diversity"


Kind = Literal["nonfinite", "vanished", "collapsed"]


class Alarm(NamedTuple):
    """The kind of failure, and one line that describes it and suggests what to try."""

    kind: Kind
    line: str


@dataclass(frozen=True, kw_only=True)
class SentinelConfig:
    """The settings under ``sentinel``; ``conf/train.yaml`` explains each."""

    action: Literal["warn", "stop", "rollback"]
    every: Count
    gradient: Share
    diversity: Share
    fall: Share
    rollbacks: Whole
    rate: Positive


@dataclass
class _History:
    gradients: dict[str, float] = field(default_factory=dict)  # each player's largest norm
    diversity: float = 0.0  # the largest so far
    strikes: dict[str, int] = field(default_factory=dict)  # consecutive epochs that failed, by kind


def is_fatal(alarm: Alarm, action: str) -> bool:
    """Whether an alarm ends the run or rolls it back, instead of only being logged."""
    return alarm.kind == "nonfinite" or action != "warn"


class Sentinel:
    """Checks a run's scalars.

    ``real``: the ``rms_distance`` of real samples; ``labels`` [N]: those of the preview samples.
    """

    def __init__(self, config: SentinelConfig, real: float, labels: np.ndarray) -> None:
        self.config = config
        self._real = real
        self._labels = labels
        self._history = _History()

    def check_finite(self, means: Mapping[str, float], images: int) -> Alarm | None:
        """An alarm if a mean is not finite or fp16's loss scale is too low; otherwise None."""
        for name, value in means.items():
            if not math.isfinite(value):
                line = (
                    f"{name} is {value} after {images:,} images: the run diverged, and what followed the last "
                    "good checkpoint is not saved. Try a lower optim.lr, or a loss with a penalty: loss=wgan_gp"
                )
                return Alarm("nonfinite", line)
        scale = means.get(SCALE, 1.0)
        if scale < _MIN_SCALE:
            line = (
                f"fp16's scale has fallen to {scale:.1e} after {images:,} images: gradients overflow at any "
                "scale, and their steps are left out. Try device.precision=bf16 or fp32, or a lower optim.lr"
            )
            return Alarm("nonfinite", line)
        return None

    def check_epoch(self, scalars: Mapping[str, float], images: int) -> list[Alarm]:
        """The alarms that an epoch's scalars, including those of ``scalars()``, newly raise."""
        collapsed = self._check_collapsed(scalars[_DIVERSITY], images)
        checks = {"vanished": self._check_vanished(scalars, images), "collapsed": collapsed}
        raised = []
        for kind, alarm in checks.items():
            strikes = self._history.strikes.get(kind, 0) + 1 if alarm else 0
            self._history.strikes[kind] = strikes
            if alarm and strikes == _PATIENCE:
                raised.append(alarm)
        return raised

    @property
    def healthy(self) -> bool:
        """Whether the last ``check_epoch`` found nothing wrong."""
        return not any(self._history.strikes.values())

    def scalars(self, samples: np.ndarray) -> dict[str, float]:
        """The diversity of the preview samples [N, ...], as a multiple of the real samples' diversity."""
        return {_DIVERSITY: rms_distance(samples, self._labels) / self._real if self._real else 1.0}

    def state_dict(self) -> dict[str, Any]:
        """The largest gradient norms and diversity so far, and the strikes, for a checkpoint."""
        history = self._history
        return {
            "gradients": dict(history.gradients),
            "diversity": history.diversity,
            "strikes": dict(history.strikes),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of ``state_dict``."""
        self._history = _History(dict(state["gradients"]), state["diversity"], dict(state["strikes"]))

    def _check_vanished(self, means: Mapping[str, float], images: int) -> Alarm | None:
        players = [name.removesuffix("/adversarial") for name in means if name.endswith("/adversarial")]
        tags = [f"{player}/gradient_norm" for player in players]
        norms = {tag: means[tag] for tag in tags if tag in means}
        for name, norm in norms.items():
            self._history.gradients[name] = max(norm, self._history.gradients.get(name, 0.0))
        shares = {name: norm / (self._history.gradients[name] or 1.0) for name, norm in norms.items()}
        threshold = self.config.gradient
        if not shares or (max(shares.values()) > threshold and min(shares.values()) > threshold**2):
            return None
        shares_text = ", ".join(f"{name.split('/')[0]} {share:.2%}" for name, share in shares.items())
        line = (
            f"gradients have vanished after {images:,} images ({shares_text} of their largest): the "
            "discriminator is too strong for the generator to learn. Try a lower optim.lr, loss=gan "
            "or loss=wgan_gp, or a slower discriminator: optim.ttur=0.25"
        )
        return Alarm("vanished", line)

    def _check_collapsed(self, diversity: float, images: int) -> Alarm | None:
        config, history = self.config, self._history
        history.diversity = min(max(diversity, history.diversity), 1.0)
        if diversity > max(config.diversity, config.fall * history.diversity):
            return None
        line = (
            f"mode collapse after {images:,} images: the samples differ from one another by {diversity:.1%} of "
            f"what real ones do (at best it was {history.diversity:.1%}). Try penalties=r1, a lower optim.lr, "
            "or loss=rpgan penalties=[r1,r2]"
        )
        return Alarm("collapsed", line)


def rms_distance(samples: np.ndarray, labels: np.ndarray) -> float:
    """The root of the mean squared distance between two samples [N, ...] of the same label."""
    squares, pairs = 0.0, 0
    for label in np.unique(labels):
        group = samples[labels == label].reshape(int((labels == label).sum()), -1).astype(np.float64)
        if len(group) > 1:
            squares += len(group) * 2 * float(group.var(0, ddof=1).sum())
            pairs += len(group)
    return math.sqrt(squares / pairs) if pairs else 0.0


def rows_of_each_label(labels: np.ndarray, wanted: Sequence[int], seed: int, max_rows: int = 256) -> np.ndarray:
    """Sorted indices of random rows: about ``max_rows`` in all, equally many of each wanted label."""
    rng = np.random.default_rng(seed)
    each = max(2, max_rows // len(wanted))
    rows = [rng.permutation(np.flatnonzero(labels == label))[:each] for label in wanted]
    return np.sort(np.concatenate(rows))
