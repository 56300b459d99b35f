"""CUT and FastCUT: Park et al. 2020, contrastive learning between two unpaired domains.

    the generator G and the projector F minimise
        w L_g(D(G(a))) + nce_weight PatchNCE(G(a), a)                                     without ``identity``
        w L_g(D(G(a))) + nce_weight (PatchNCE(G(a), a) + PatchNCE(G(b), b)) / 2           with it
    the discriminator minimises
        L_d(D(b), D(G(a))) + penalties

a are sources and b images, drawn independently. PatchNCE (``patch_nce.py``) compares features of the first half
of G through F, so that a place of G(a) still shows what that place of a did. There is one generator and one
discriminator, and none back to the domain of a.

CUT has ``nce_weight`` 1 with ``identity``. FastCUT has 10 without it, and ``flip``: with probability 1/2 an
image is mirrored before G, and the features of what G made of it are mirrored back before they are compared
with those of the image as it was. The authors' program draws that once for a batch, which is one image; here it
is drawn for each image, so that it does not depend on how many processes share a batch.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, NonNegative, Positive
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.image_to_image import ImageToImage
from ganexp.games.patch_nce import at_places, patch_nce, random_places
from ganexp.nets.projector import Projector


@dataclass(eq=False, repr=False, kw_only=True)
class CUT(ImageToImage):
    """``generator(source)``, which has ``encode`` and ``feature_channels``, and ``projector(features)``.

    Raises UserError for networks of which one does not fit the other.
    """

    NETS: ClassVar[tuple[str, ...]] = ("generator", "discriminator", "projector")
    UNPAIRED: ClassVar[bool] = True
    SMALLEST_BATCH: ClassVar[int] = 1
    NEEDS_LOSS: ClassVar[bool] = True  # the contrastive loss alone is lowest where the output is the source

    nce_weight: NonNegative
    identity: bool
    flip: bool
    patches: Count
    temperature: Positive

    projector: Projector = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        generator = self.parts.nets["generator"]
        _check_features(generator, self.projector)
        self._mirrored: Tensor | None = None
        both = nn.ModuleDict({"generator": generator, "projector": self.projector})
        self.players["g"] = self.players["g"]._replace(net=both)

    def training_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The sources; with ``flip``, each mirrored with probability 1/2."""
        (source,) = super().training_inputs(batch)
        # kept for the generator's turn, which may reuse these fakes
        self._mirrored = torch.rand(len(source), device=source.device) < 0.5 if self.flip else None
        return (self._mirror(source),)

    def content(self, fake: Tensor, batch: Batch) -> dict[str, Tensor]:
        """``fake`` is what G makes of ``training_inputs``."""
        assert batch.source is not None
        share = 0.5 if self.identity else 1.0
        losses = {"nce": share * self.nce_weight * self.nce(fake, batch.source)}
        if self.identity:
            same = self.generator(self._mirror(batch.x))
            losses["nce_identity"] = share * self.nce_weight * self.nce(same, batch.x)
        return losses

    def nce(self, made: Tensor, image: Tensor) -> Tensor:
        """PatchNCE of what G made of images, after these were mirrored by ``_mirror``, and the images."""
        encode = self.generator.net.encode
        found = [self._mirror(features) for features in encode(made)]  # type: ignore[operator]
        places = [random_places(features, self.patches) for features in found]
        queries = self._project(found, places)
        with torch.no_grad():
            keys = self._project(encode(image), places)  # type: ignore[operator]
        losses = [patch_nce(*pair, self.temperature) for pair in zip(queries, keys, strict=True)]
        return torch.stack(losses).mean()

    def _project(self, features: list[Tensor], places: list[Tensor]) -> list[Tensor]:
        """Projected features [N, S, D] of each layer's maps [N, C, H, W] at its places [N, S]."""
        chosen: list[Tensor] = self.projector([at_places(*pair) for pair in zip(features, places, strict=True)])
        return chosen

    def _mirror(self, maps: Tensor) -> Tensor:
        """Maps [N, C, H, W], those of the images that ``flip`` mirrors in this turn mirrored horizontally."""
        if self._mirrored is None:
            return maps
        return torch.where(self._mirrored[:, None, None, None], maps.flip(3), maps)


def _check_features(generator: nn.Module, projector: nn.Module) -> None:
    """Raises UserError for a generator without features, or with others than the projector takes."""
    kind = type(generator).__name__
    channels, taken = getattr(generator, "feature_channels", None), getattr(projector, "channels", None)
    if channels is None or not hasattr(generator, "encode"):
        raise UserError(
            f"arch.generator: game=cut compares features, and {kind} has no encode that gives them: choose "
            "arch=cut or arch=cut_small"
        )
    if taken is None or list(taken) != list(channels):
        takes = type(projector).__name__ if taken is None else f"maps of {list(taken)} channels"
        raise UserError(
            f"arch.projector: it takes {takes}, and {kind} gives maps of {list(channels)}: set "
            "arch.projector.multiples"
        )
