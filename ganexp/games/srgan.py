"""Super-resolution: SRGAN (Ledig et al. 2017, equation 3) and ESRGAN (Wang et al. 2018, equation 3).

    min_G   pixel_weight d(G(s), x) + w d'(phi(G(s)), phi(x)) + adversarial_weight L_g(D(G(s)))
    min_D   L_d(D(x), D(G(s)))

s: x of low resolution; d: L1 or MSE; phi: the features of ``content``, if any. The critic sees the image alone.
``pretrain_steps`` of the generator alone come first: in both papers these are its first training. With
``loss=none`` the whole run is that, which gives the highest PSNR.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from ganexp.config.ranges import NonNegative
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.content import ContentFeatures, distance
from ganexp.games.image_to_image import ImageToImage
from ganexp.nets.fixed_convolutions import FixedConvolutions


@dataclass(eq=False, repr=False, kw_only=True)
class SRGAN(ImageToImage):
    """``generator(source)`` against ``discriminator(x)``. Raises UserError for other features."""

    pixel: Literal["l1", "mse"]
    pixel_weight: NonNegative
    content_features: Any
    """``ContentFeatures``, or None; ``Any`` because a setting's type is read without importing torch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.content_features, ContentFeatures | None):
            raise UserError("game.content_features: it does not build ContentFeatures; choose it with content=")
        self._features: ContentFeatures | None = self.content_features
        self.content_network: FixedConvolutions | None = None

    def prepare_training(self) -> None:
        """Builds the network of the content features. Raises UserError where it cannot be had."""
        if self._features is not None:
            self.content_network = self._features.network()

    def content(self, fake: Tensor, batch: Batch) -> dict[str, Tensor]:
        losses = {"pixel": self.pixel_weight * distance(fake, batch.x, self.pixel)}
        if self._features is not None:
            assert self.content_network is not None, "prepare_training comes before training"
            losses[self._features.name] = self._features.term(self.content_network, fake, batch.x)
        return losses
