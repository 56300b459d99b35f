"""What samples are compared by: functions from samples to feature vectors, none of them ever confused.

A score carries the name of its features: ``fid`` alone is Inception's, ``fid_cnn`` that of a small network
trained on the data set itself, ``fid_random`` that of a network that was never trained.

| ``features=`` | what | for |
|---|---|---|
| ``inception`` | the standard FID weights, through torch-fidelity | figures that papers can be compared by |
| ``classifier`` | a small CNN trained once on the data set's labels | sets with labels, without a download |
| ``random`` | a fixed random network (Naeem et al. 2020, section 3.2) | any set of images |
| ``pixels`` | the values themselves | points, small images |
| ``auto`` | ``classifier``, ``random`` or ``pixels``, by what the data have | |
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ganexp.data.arrays import Arrays
from ganexp.data.source import Source
from ganexp.metrics.classifier import need_images, random_network, trained
from ganexp.metrics.inception import inception_network
from ganexp.system.float32 import full_float32

_BATCH = 256


class SampleFeatures(NamedTuple):
    """Samples as a metric sees them.

    ``samples`` [N, ...]: uint8 images or float32 points; ``features`` [N, D] float32; ``probabilities``
    [N, K] float32 of classes, or None where the features know no classes; ``labels`` [N] int64: what each
    sample is, or was asked to be, or None where nobody asked; ``target`` [N, ...], stored like the samples:
    what each should be, or None.
    """

    samples: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray | None
    labels: np.ndarray | None = None
    target: np.ndarray | None = None


class Features(Protocol):
    """A way to compare samples."""

    suffix: str
    """What its scores are called by: ``fid`` + ``suffix``."""
    identity: str
    """Which features these are, to the last weight: what was worked out with others is of no use."""
    about: str
    """In words, for the log."""

    def __call__(self, samples: np.ndarray) -> SampleFeatures:
        """``samples`` [N, ...]: uint8 images, or float32 points."""
        ...


class Network:
    """Features of uint8 images by a network from [-1, 1] to ([N, D] features, [N, K] logits or None).

    They are computed in float32, also where a GPU trains in TF32: scores of one checkpoint do not depend on
    ``device.precision``.
    """

    def __init__(self, net: nn.Module, suffix: str, identity: str, about: str, device: torch.device) -> None:
        self.suffix, self.identity, self.about = suffix, identity, about
        self._net = net.to(device).eval().requires_grad_(False)
        self._device = device

    @torch.no_grad()
    @full_float32()
    def __call__(self, samples: np.ndarray) -> SampleFeatures:
        found = [self._net(batch) for batch in self._batches(samples)]
        features = torch.cat([one for one, _ in found]).float().cpu().numpy()
        logits = [two for _, two in found if two is not None]
        probabilities = torch.cat(logits).softmax(1).float().cpu().numpy() if logits else None
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
    """The best features that need nothing from outside."""
    if not source.is_image:
        return Pixels(source)
    classes = source.label_kind == "classes" and len(data.classes) > 1
    return classifier(source, data, device) if classes else random(source, data, device)


def pixels(source: Source, data: Arrays, device: torch.device) -> Features:
    """See ``Pixels``."""
    return Pixels(source)


def random(source: Source, data: Arrays, device: torch.device) -> Features:
    """A network with fixed random weights. Raises UserError for what are no images."""
    net = random_network(source, device)
    return Network(net, "_random", f"random 1 {data.samples.shape[1:]}", "a fixed random network", device)


def classifier(source: Source, data: Arrays, device: torch.device) -> Features:
    """The data set's own classifier, trained first if need be. Raises UserError where there are no classes."""
    net, weights, accuracy = trained(source, data, device)
    about = f"a classifier of this data set, right on {accuracy:.2%} of held-out images, weights {weights[:12]}"
    return Network(net, "_cnn", f"classifier {weights}", about, device)


def inception(source: Source, data: Arrays, device: torch.device, weights: str | None) -> Features:
    """Inception v3 as the first FID used it; ``weights``: their file, or None to fetch them once.

    Raises UserError where they cannot be had, or for what are no images.
    """
    need_images(source)
    net, checksum = inception_network(weights)
    return Network(net, "", f"inception {checksum}", f"Inception v3, FID weights {checksum[:12]}", device)
