"""The features by which ``game=style`` compares images: those of VGG16, or of a network with random weights.

Johnson et al. 2016 take four levels of VGG16, trained on ImageNet: relu1_2, relu2_2, relu3_3 and relu4_3. That
Gram matrices of random features describe textures too, and random features contents, is shown by He, Wang &
Hopcroft 2016.

The network is built when training begins, is frozen, in no checkpoint, and computes in float32 at least.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ganexp.config.ranges import FilePath, Shape, Whole, Widths
from ganexp.errors import UserError
from ganexp.games.vgg_weights import vgg_convolutions
from ganexp.nets.fixed_convolutions import IMAGENET, Levels, random_levels

_VGG16 = [[64, 64], [128, 128], [256] * 3, [512] * 3]
"""The channels of VGG16's convolutions up to relu4_3."""


@dataclass(frozen=True, kw_only=True)
class StyleFeatures:
    """The settings of a network of several levels; a subclass says which. ``shape`` [C, H, W]: of images."""

    shape: Shape

    @property
    def channels(self) -> Sequence[int]:
        """The channels of each level's map."""
        raise NotImplementedError

    @property
    def about(self) -> str:
        """What features they are, for the log."""
        raise NotImplementedError

    def network(self) -> Levels:
        """The network. Raises UserError where it cannot be had, or where the images are too small for it."""
        raise NotImplementedError

    def check_size(self) -> None:
        """Raises UserError for images of which the last level would leave nothing."""
        smallest = 2 ** (len(self.channels) - 1)
        if min(self.shape[1:]) < smallest:
            size = " x ".join(map(str, self.shape[1:]))
            raise UserError(
                f"game.style_features: {len(self.channels)} levels need images of {smallest} pixels or more, "
                f"and these are {size}: set data.resolution={smallest} or more"
            )


@dataclass(frozen=True, kw_only=True)
class RandomStyleFeatures(StyleFeatures):
    """A convolution in each level, with the random weights of He et al. 2015, always the same for a seed."""

    seed: Whole
    widths: Widths

    @property
    def channels(self) -> Sequence[int]:
        return self.widths

    @property
    def about(self) -> str:
        return f"features of a network with random weights (seed {self.seed})"

    def network(self) -> Levels:
        self.check_size()
        return random_levels(self.shape[0], self.widths, [1] * len(self.widths), self.seed)


@dataclass(frozen=True, kw_only=True)
class VGG16StyleFeatures(StyleFeatures):
    """relu1_2, relu2_2, relu3_3 and relu4_3 of VGG16 (Simonyan & Zisserman 2015), by torchvision's weights.

    ``weights``: a file of them; None: they are downloaded once. Images have 1 or 3 channels.
    """

    weights: FilePath | None

    @property
    def channels(self) -> Sequence[int]:
        return [widths[-1] for widths in _VGG16]

    @property
    def about(self) -> str:
        origin = "torchvision's weights" if self.weights is None else f"the weights in {self.weights}"
        return f"features of VGG16, trained on ImageNet, by {origin}"

    def network(self) -> Levels:
        self.check_size()
        if self.shape[0] not in (1, 3):
            raise UserError(
                f"style_features=vgg16: it takes images of 1 or 3 channels, and these have {self.shape[0]}; "
                "style_features=random takes any"
            )
        setting, instead = "game.style_features.weights", "style_features=random"
        weights = vgg_convolutions("vgg16", _VGG16, self.weights, setting, instead)
        return Levels(weights, [len(widths) for widths in _VGG16], IMAGENET)
