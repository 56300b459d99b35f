"""The scores of ``ganexp anomaly``: the run's, and simpler ones that it should beat."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ganexp.data.source import Source
from ganexp.games.anomaly import AnomalyScorer, squared_error
from ganexp.system.rng import fork_rng

COMPONENTS = 32
"""Of the principal components that images are rebuilt from."""

_FITTED = 10_000  # training images that the components are fitted on, at most
_FULL_HEAT = 1.0  # a difference that is drawn white, of values in [-1, 1]; the same for every image
_FAINTEST = 1e-6  # mean square of an image without any ink, by which errors are divided

Floor = Callable[[np.ndarray], np.ndarray]
"""A score of samples [N, C, H, W] uint8 to [N] that needs no network."""


class NetworkScores(NamedTuple):
    """Of N images: ``score``, ``error`` (mean squared) and ``relative`` (that by the image's mean square above
    black) [N] float64; ``reconstructions`` [N, C, H, W] and ``heat`` [N, H, W], uint8.
    """

    score: np.ndarray
    error: np.ndarray
    relative: np.ndarray
    reconstructions: np.ndarray
    heat: np.ndarray


@torch.no_grad()
def network_scores(
    scorer: AnomalyScorer, source: Source, samples: np.ndarray, batch_size: int, device: torch.device
) -> NetworkScores:
    """Scores samples [N, C, H, W] uint8 with a game in evaluation mode, in batches."""
    found: list[tuple[np.ndarray, ...]] = []
    starts = range(0, len(samples), batch_size)
    for start in tqdm(starts, desc="scoring", unit=" batches", delay=1, disable=None, leave=False):
        stored = torch.from_numpy(np.array(samples[start : start + batch_size])).to(device)
        x = source.decode(stored)
        with fork_rng(device):
            torch.manual_seed(0)  # for generators that draw noise of their own
            parts = scorer.anomaly(x)
        error = squared_error(x, parts.reconstruction)
        relative = error / (x + 1).square().flatten(1).mean(1).clamp_min(_FAINTEST)
        heat = (parts.heat_map / _FULL_HEAT).clamp(0, 1) * 255
        numbers = [part.double().cpu().numpy() for part in (parts.score, error, relative)]
        images = source.encode(parts.reconstruction.float().cpu().numpy())
        found.append((*numbers, images, heat.round().byte().cpu().numpy()))
    return NetworkScores(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def minus_ink(samples: np.ndarray) -> np.ndarray:
    """The less bright an image, the higher: it takes no training at all."""
    return np.asarray(-samples.reshape(len(samples), -1).mean(1) / 255)


def component_error(training: np.ndarray, seed: int) -> Floor:
    """The mean squared error of images that 32 principal components of training images rebuild."""
    from sklearn.decomposition import PCA

    rows = np.sort(np.random.default_rng(seed).permutation(len(training))[:_FITTED])
    fitted = _flat(training[rows])
    model = PCA(min(COMPONENTS, *fitted.shape), random_state=0).fit(fitted)

    def score(samples: np.ndarray) -> np.ndarray:
        errors = []
        for start in range(0, len(samples), _FITTED):
            x = _flat(samples[start : start + _FITTED])
            errors.append(((x - model.inverse_transform(model.transform(x))) ** 2).mean(1))
        return np.concatenate(errors).astype(np.float64)

    return score


def coloured(heat: np.ndarray) -> np.ndarray:
    """Heat maps [N, H, W] uint8 as [N, 3, H, W]: black, red, yellow, white."""
    t = heat.astype(np.float32) / 255
    channels = [np.clip(3 * t - shift, 0, 1) for shift in (0, 1, 2)]
    return np.rint(np.stack(channels, 1) * 255).astype(np.uint8)


def _flat(samples: np.ndarray) -> np.ndarray:
    """Samples [N, ...] uint8 as [N, D] float32 in [-1, 1]."""
    return samples.reshape(len(samples), -1).astype(np.float32) / 127.5 - 1
