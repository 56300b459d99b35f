"""What ``ganexp interpolate`` prints of its walks: the size of their steps, and their detours."""

import numpy as np

from ganexp.latents.smoothness import smoothness
from ganexp.latents.walks import Walk
from ganexp.metrics.classifier import random_network
from ganexp.metrics.features import Features, Network, Pixels
from ganexp.training.load import OpenedRun


def smoothness_told(samples: np.ndarray, walk: Walk, unrelated: np.ndarray, run: OpenedRun) -> str:
    """Two lines on the samples [W, T, ...] of a walk, by pixels and by the features of a random network.

    ``unrelated`` [N, ...]: random samples, with whose distances steps are compared.
    """
    source, (walks, count), ways = run.source, samples.shape[:2], walk.ways.numpy()
    stored, others = source.encode(samples.reshape(-1, *samples.shape[2:])), source.encode(unrelated)

    def vectors(features: Features) -> tuple[np.ndarray, np.ndarray]:
        return features(stored).features.reshape(walks, count, -1), features(others).features

    of_walks, of_others = vectors(Pixels(source))
    raw, what, where = smoothness(of_walks, ways, of_others), "numbers", "in the plane"
    detour = raw.detour
    if source.is_image:
        network = Network(random_network(source, run.device), "", "", "", run.device)
        of_walks, of_others = vectors(network)
        detour = smoothness(of_walks, ways, of_others).detour
        what, where = "pixels, which are from -1 to 1,", "in random features"
    return (
        f"a step changes {what} by {raw.step:.3g} (root mean square; {raw.largest_step:.3g} at most); two "
        f"random samples differ by {raw.random_pair:.3g}\n"
        f"{where}, a way is {detour:.2f} times as long as the line between its ends"
    )
