r"""The auxiliary classifier GAN: Odena et al. 2017, section 3.

    L_S = E log P(real | x) + E log P(fake | G(z, c))
    L_C = E log P(c | x) + E log P(c | G(z, c))

The discriminator maximises L_S + L_C, the generator L_C - L_S. As in the other games, the generator's part of
L_S is the one of ``loss`` (non-saturating with ``loss=gan``), and fakes have the labels of the real batch. The
classifier is a second output of the discriminator's features. Its outputs are logits: a softmax before the
cross-entropy, which well-known copies have, keeps the loss above log(e + K - 1) - 1 (1.461 for 10 classes).

The generator is rewarded for samples that are easy to classify, which lowers the variety within a class:
compare ``intra_recall`` with that of ``game=cgan``.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from ganexp.config.ranges import NonNegative
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.cgan import CGAN
from ganexp.games.game import Turn
from ganexp.games.turns import critic_turn, generator_turn


@dataclass(eq=False, repr=False, kw_only=True)
class ACGAN(CGAN):
    """``generator(z, y)`` against a ``discriminator(x)`` with logits [N, 1 + classes].

    ``critic_weight``, ``generator_weight``: of the classification loss in each player's turn. With
    ``arch.discriminator.condition=joined`` or ``projection`` the discriminator is told the label too.
    """

    TAKES_LABELS: ClassVar[tuple[str, ...]] = ("generator",)

    USES_OUTPUTS: ClassVar[bool] = True

    critic_weight: NonNegative
    generator_weight: NonNegative

    def __post_init__(self) -> None:
        super().__post_init__()
        classes, outputs = self.generator.classes, getattr(self.discriminator, "outputs", 0)
        if outputs != classes:
            raise UserError(
                f"arch.discriminator.outputs={outputs}: game=acgan needs a logit for each of {classes} "
                "classes; with start_from, the other run needs them too"
            )

    def discriminator_turn(self, batch: Batch) -> Turn:
        call = self.discriminator_call(batch)
        assert call.real_outputs is not None and call.fake_outputs is not None
        real_loss = self.critic_weight * classification_loss(call.real_outputs, batch.y)
        fake_loss = self.critic_weight * classification_loss(call.fake_outputs, batch.y)
        turn = critic_turn(self.loss, self.penalties_of("d"), call, self.augment)
        return turn | Turn({"class_real": real_loss, "class_fake": fake_loss}, {})

    def generator_turn(self, batch: Batch) -> Turn:
        call = self.generator_call(batch)
        assert call.fake_outputs is not None
        class_loss = self.generator_weight * classification_loss(call.fake_outputs, batch.y)
        turn = generator_turn(self.loss, self.penalties_of("g"), call)
        return turn | Turn({"class": class_loss}, {})


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy of logits [N, K] and labels: classes [N], or attributes [N, K] in {0, 1}.

    Of attributes, the mean over samples and attributes.
    """
    if labels.dim() == 1:
        return functional.cross_entropy(logits, labels)
    return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
