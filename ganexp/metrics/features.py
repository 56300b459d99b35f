"""Functions from samples to feature vectors, which metrics compare.

The features' suffix is part of a score's name: ``fid`` is computed with Inception, ``fid_cnn`` with a small
network trained on the data set itself, ``fid_random`` with an untrained network.

| ``features=`` | what | for |
|---|---|---|
| ``inception`` | the standard FID weights, through torch-fidelity | comparison with papers |
| ``classifier`` | a small CNN trained once on the data set's labels | data with labels, without a download |
| ``random`` | a fixed random network (Naeem et al. 2020, section 3.2) | any images |
| ``pixels`` | the values themselves | points, small images |
| ``auto`` | ``classifier``, ``random`` or ``pixels``, depending on the data | |
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ganexp.config.ranges import FilePath, Whole, Widths
from ganexp.data.arrays import Arrays
from ganexp.data.source import Source
from ganexp.metrics.classifier import (
    ClassifierRecipe,
    has_labels,
    random_network,
    require_images,
    trained_classifier,
)
from ganexp.metrics.feature_networks import Classifier
from ganexp.metrics.inception import inception_network
from ganexp.system.float32 import full_float32

_BATCH = 256


class SampleFeatures(NamedTuple):
    """What a metric gets: samples and their features.

    ``samples``: [N, ...], uint8 images or float32 points; ``features``: [N, D] float32; ``probabilities``:
    [N, K] float32 of classes, or of attributes, each by itself; None where the features have neither;
    ``labels``: int64, the real or requested classes [N] or attributes [N, K], or None without; ``target``:
    [N, ...], the image that each sample should match, stored like the samples, or None;
    ``categories``: [N, A] int64, ``continuous``: [N, B] float32, the codes that samples were made from, or
    None; ``source``: [N, ...], the images that samples were made from, stored like these, and
    ``source_labels``, their labels, or None.
    """

    samples: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray | None
    labels: np.ndarray | None = None
    target: np.ndarray | None = None
    categories: np.ndarray | None = None
    continuous: np.ndarray | None = None
    source: np.ndarray | None = None
    source_labels: np.ndarray | None = None


class Features(Protocol):
    """A function from samples to features."""

    suffix: str
    """Appended to the names of scores: ``fid`` + ``suffix``."""
    identity: str
    """Identifies the features, including the weights; part of the cache key."""
    about: str
    """A description, for the log."""

    def __call__(self, samples: np.ndarray) -> SampleFeatures:
        """``samples`` [N, ...]: uint8 images, or float32 points."""
        ...


class Network:
    """Features of uint8 images, by a network that maps [-1, 1] to ([N, D] features, [N, K] logits or None).

    They are computed in float32 even if training uses TF32, so a checkpoint's scores do not depend on
    ``device.precision``.
    """

    def __init__(self, net: nn.Module, suffix: str, identity: str, about: str, device: torch.device) -> None:
        self.suffix, self.identity, self.about = suffix, identity, about
        self._probabilities = (
            net.probabilities if isinstance(net, Classifier) else partial(torch.softmax, dim=1)
        )
        self._net = net.to(device).eval().requires_grad_(False)
        self._device = device

    @torch.no_grad()
    @full_float32()
    def __call__(self, samples: np.ndarray) -> SampleFeatures:
        found = [self._net(batch) for batch in self._batches(samples)]
        features = torch.cat([one for one, _ in found]).float().cpu().numpy()
        logits = [two for _, two in found if two is not None]
        probabilities = self._probabilities(torch.cat(logits)).float().cpu().numpy() if logits else None
        return SampleFeatures(samples, features, probabilities)

    def _batches(self, samples: np.ndarray) -> Iterator[Tensor]:
        for start in range(0, len(samples), _BATCH):
            yield (
                torch.from_numpy(np.array(samples[start : start + _BATCH])).to(self._device).float() / 127.5 - 1
            )


class Pixels:
    """The values themselves, images in [-1, 1]."""

    suffix = "_pixels"
    identity = "pixels"
    about = "the values themselves"

    def __init__(self, source: Source) -> None:
        self._is_image = source.is_image

    def __call__(self, samples: np.ndarray) -> SampleFeatures:
        flat = samples.reshape(len(samples), -1).astype(np.float32)
        return SampleFeatures(samples, flat / 127.5 - 1 if self._is_image else flat, None)


def auto(source: Source, data: Arrays, device: torch.device) -> Features:
    """The best features for the data that need no download."""
    if not source.is_image:
        return Pixels(source)
    labelled = has_labels(source) and (data.labels.ndim > 1 or np.ptp(data.labels) > 0)
    return classifier(source, data, device) if labelled else random(source, data, device)


def pixels(source: Source, data: Arrays, device: torch.device) -> Features:
    """See ``Pixels``."""
    return Pixels(source)


def random(source: Source, data: Arrays, device: torch.device) -> Features:
    """A network with fixed random weights. Raises UserError where the data are no images."""
    net = random_network(source, device)
    return Network(net, "_random", f"random 1 {data.samples.shape[1:]}", "a fixed random network", device)


def classifier(
    source: Source, data: Arrays, device: torch.device, seed: Whole = 0, widths: Widths | None = None
) -> Features:
    """The data set's own classifier, trained first if it is missing. Raises UserError without labels.

    With another ``seed``, or other ``widths`` of its layers, it judges independently those runs that were
    chosen by the first one; its scores have other names, such as ``fid_cnn1``.
    """
    recipe = ClassifierRecipe(seed, tuple(widths)) if widths else ClassifierRecipe(seed)
    net, weights, accuracy = trained_classifier(source, data, device, recipe)
    told = "images" if source.label_kind == "classes" else "images' attributes"
    about = f"a classifier of this data set, right on {accuracy:.2%} of held-out {told}, weights {weights[:12]}"
    return Network(net, f"_cnn{recipe.suffix}", f"classifier {weights}", about, device)


def inception(source: Source, data: Arrays, device: torch.device, weights: FilePath | None) -> Features:
    """Inception v3 as in the original FID; ``weights``: their file, or None to download them once.

    Raises UserError where the weights are not available or the data are no images.
    """
    require_images(source)
    net, checksum = inception_network(weights)
    return Network(net, "", f"inception {checksum}", f"Inception v3, FID weights {checksum[:12]}", device)
