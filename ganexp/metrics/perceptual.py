"""How near outputs are to their targets for a network: the cosine of features, and LPIPS."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor, nn

from ganexp.data.source import Source
from ganexp.errors import UserError, first_line
from ganexp.metrics import check_rows
from ganexp.metrics.directions import Direction
from ganexp.metrics.metric import EvalPair, Metric, Need, Scores
from ganexp.metrics.paired import check_images, mean_over_images

_SMALLEST = 32
"""AlexNet's third group of layers leaves nothing of smaller images."""

Backbone = Literal["alex", "vgg", "squeeze"]


@dataclass(frozen=True)
class Identity(Metric):
    """The cosine of the features of output and target, the mean over images: in [-1, 1], 1 for equal features.

    With features of a network that recognises faces, it measures whether an output shows the same person. Its
    name has the features' suffix.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"identity": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("target",)

    def __call__(self, pair: EvalPair) -> Scores:
        return {f"identity{pair.suffix}": cosine_similarity(pair.fake.features, pair.target_features)}


def cosine_similarity(one: np.ndarray, two: np.ndarray) -> float:
    """The mean cosine of the rows of two sets [N, D]; 0 for a row of zeros. Raises UserError as check_rows."""
    check_rows(one, two)
    one, two = one.astype(np.float64), two.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    return float(((one * two).sum(1) / np.where(lengths > 0, lengths, 1)).mean())


@dataclass(frozen=True, kw_only=True)
class LPIPS(Metric):
    """The distance of the features of a network of ImageNet: Zhang et al. 2018. Lower is better, from 0.

    ``network``: ``alex`` is the paper's for comparing, ``vgg`` and ``squeeze`` are the others that the package
    lpips has weights of.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"lpips": "lower"}
    needs: ClassVar[tuple[Need, ...]] = ("target",)

    network: Literal["alex", "vgg", "squeeze"]

    def check(self, source: Source) -> None:
        """Raises UserError also where the package or the network's weights are missing."""
        check_images("lpips", source, _SMALLEST)
        lpips_network(self.network)

    def __call__(self, pair: EvalPair) -> Scores:
        net = lpips_network(self.network).to(pair.device)

        def score(output: Tensor, target: Tensor) -> Tensor:
            one, two = (images.expand(-1, 3, -1, -1) * 2 - 1 for images in (output, target))
            distances: Tensor = net(one, two)
            return distances.flatten()

        return {"lpips": mean_over_images(pair, score, 0, "rgb")}


@cache
def lpips_network(name: Backbone, setting: str = "metrics=lpips") -> nn.Module:
    """The network, in evaluation mode. Raises UserError where the package or the weights are missing.

    ``setting``: what asks for it, which errors name.
    """
    try:
        from lpips import LPIPS as Network
    except ImportError:
        raise UserError(
            f"{setting} needs the package lpips: pip install -e '.[lpips]'; torchvision downloads the "
            "weights of its network at first use"
        ) from None
    try:
        net: nn.Module = Network(net=name, verbose=False)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{setting}: torchvision could not download the weights of {name} ({first_line(error)}); "
            "leave it out without a network"
        ) from None
    return net.eval().requires_grad_(False)
