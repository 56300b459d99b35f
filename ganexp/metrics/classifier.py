"""Feature networks: a small classifier trained once on a data set's labels, and a fixed random network.

No other program has these networks, so their scores have names of their own (``fid_cnn``, ``fid_random``).
Training's RNG state is not changed.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ganexp.data.arrays import Arrays
from ganexp.data.cache import cache_folder, cache_lock
from ganexp.data.source import Source
from ganexp.errors import UserError, print_to_stderr
from ganexp.metrics.feature_networks import WIDTHS, AttributeClassifier, Classifier, RandomNetwork
from ganexp.system.float32 import full_float32
from ganexp.system.rng import fork_rng
from ganexp.system.tensor_file import Damaged, digest, read, write
from ganexp.system.terminal import duration

_RECIPE = 2
"""Increased with every change below, or of ``Classifier``, that would train another network."""

_TEST_SHARE = 0.1
_BATCH = 128
_EPOCHS = 4
_MIN_STEPS, _MAX_STEPS = 300, 1500
_LEARNING_RATE = 2e-3
_TIMED_STEPS = 10
"""The first steps, from whose time that of all of them is estimated."""


class ClassifierRecipe(NamedTuple):
    """What may differ between classifiers of one data set."""

    seed: int = 0
    """Seed of the initial weights and of the order of the training images."""
    widths: tuple[int, ...] = WIDTHS
    """Channels of the layers, each of which halves the resolution."""

    @property
    def suffix(self) -> str:
        """For names of scores and files: empty for the default, ``1`` for seed 1, ``_24_48`` for widths."""
        seed = str(self.seed) if self.seed else ""
        return (
            seed if self.widths == self._field_defaults["widths"] else "_".join([seed, *map(str, self.widths)])
        )


_DEFAULT = ClassifierRecipe()


def random_network(source: Source, device: torch.device) -> nn.Module:
    """The random network, equal in all runs. Raises UserError where the data are no images."""
    require_images(source)
    with fork_rng(device):
        torch.manual_seed(0)
        return RandomNetwork(source.shape[0])


def trained_classifier(
    source: Source, data: Arrays, device: torch.device, recipe: ClassifierRecipe = _DEFAULT
) -> tuple[Classifier, str, float]:
    """The data set's classifier, a hash of its weights, and its accuracy on images not used to train it.

    The accuracy is the share of labels that it predicts; for attributes, the mean over them. It is trained at
    the first call, with a progress bar, and then read from the cache. Raises UserError where the data have no
    images or no labels.
    """
    require_images(source)
    if not has_labels(source):
        raise UserError("features=classifier needs labels, and this data has none: take features=random")
    which = f"-{recipe.suffix}" if recipe.suffix else ""
    file = cache_folder() / f"classifier-{data.fingerprint[:16]}" / f"recipe_{_RECIPE}{which}.pt"
    with fork_rng(device):
        kind = Classifier if source.label_kind == "classes" else AttributeClassifier
        net = kind(data.samples.shape[1], len(data.classes), recipe.widths)
    with cache_lock(file.parent):
        content = _read_cached(file)
        if content is None:
            accuracy = _train_and_test(net, data, device, recipe.seed)
            content = {"weights": {k: v.cpu() for k, v in net.state_dict().items()}, "accuracy": accuracy}
            write(content, file)
    net.load_state_dict(content["weights"])
    return net, digest(content["weights"]), content["accuracy"]


def _read_cached(file: Path) -> dict[str, Any] | None:
    try:
        return read(file) if file.is_file() else None
    except Damaged:
        return None  # it is trained again


def _train_and_test(net: Classifier, data: Arrays, device: torch.device, seed: int) -> float:
    """Trains on 90% of the images and returns the accuracy on the others."""
    order = np.random.default_rng(0).permutation(len(data.samples))
    test_rows, train_rows = np.split(order, [max(1, round(_TEST_SHARE * len(order)))])
    began = time.monotonic()

    def announce(seconds: float) -> None:
        with tqdm.external_write_mode():
            once = "training a classifier of this data set, once, to score samples by"
            print_to_stderr(f"{once}: about {duration(seconds)}")

    train_on(net, data.samples, data.labels, train_rows, device, seed, announce)
    test_rows = np.sort(test_rows)
    accuracy = float((predict_labels(net, data.samples[test_rows], device) == data.labels[test_rows]).mean())
    print_to_stderr(f"trained the classifier in {duration(time.monotonic() - began)}")
    return accuracy


def train_on(
    net: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    train_rows: np.ndarray,
    device: torch.device,
    seed: int = 0,
    announce: Callable[[float], None] = lambda seconds: None,
) -> None:
    """Trains on the given rows of images [N, C, H, W] uint8, with Adam and a one-cycle learning rate.

    ``announce`` is called once, after a few steps, with an estimate of the seconds that are left.
    """
    rng = np.random.default_rng(seed)
    steps = min(max(_EPOCHS * len(train_rows) // _BATCH, _MIN_STEPS), _MAX_STEPS)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for step in tqdm(range(steps), unit=" steps", disable=None, leave=False):
            if step == 1:  # the first step is slower than others
                began = time.monotonic()
            if step == 1 + _TIMED_STEPS:
                announce((time.monotonic() - began) / _TIMED_STEPS * (steps - step))
            picked = np.sort(rng.choice(train_rows, min(_BATCH, len(train_rows)), replace=False))
            yield to_device(images[picked], device), torch.from_numpy(labels[picked]).to(device)

    fit(net, batches(), steps, device, seed)


@full_float32()
def fit(
    net: Classifier, batches: Iterator[tuple[Tensor, Tensor]], steps: int, device: torch.device, seed: int
) -> int:
    """Trains new weights on ``steps`` batches of images and targets, on the device, as ``net`` takes them.

    ``seed``: of the initial weights. Returns the number of updates: fewer where there are fewer batches.
    """
    updates = 0
    with fork_rng(device), torch.enable_grad():
        torch.manual_seed(seed)
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
        net.to(device).train()
        optimiser = torch.optim.Adam(net.parameters(), lr=_LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=steps)
        for images, targets in islice(batches, steps):
            _, logits = net(images)
            optimiser.zero_grad()
            net.loss(logits, targets).backward()
            optimiser.step()
            schedule.step()
            updates += 1
    net.eval()
    return updates


def predict_labels(net: Classifier, images: np.ndarray, device: torch.device) -> np.ndarray:
    """The predicted labels, int64 [N] or of attributes [N, K], of images [N, C, H, W] uint8."""
    return net.labels(predict_logits(net, images, device)).numpy()


@torch.no_grad()
@full_float32()
def predict_logits(net: Classifier, images: np.ndarray, device: torch.device) -> Tensor:
    """The logits [N, K] on the CPU, of images [N, C, H, W] uint8."""
    net = net.to(device).eval()
    pieces = (images[start : start + 512] for start in range(0, len(images), 512))
    return torch.cat([net(to_device(piece, device))[1].cpu() for piece in pieces])


def to_device(images: np.ndarray, device: torch.device) -> Tensor:
    """Images [N, C, H, W] uint8 as the classifier takes them: float32 in [-1, 1]."""
    return torch.from_numpy(np.array(images)).to(device).float() / 127.5 - 1


def has_labels(source: Source) -> bool:
    """Whether a classifier can be trained on the data's labels; of a single class it cannot."""
    return source.label_kind == "attributes" or source.classes > 1


def require_images(source: Source) -> None:
    """Raises UserError where the data are no images."""
    if not source.is_image:
        raise UserError("these features need images, and this data has none: take features=pixels")
