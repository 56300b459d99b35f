r"""StarGAN: Choi et al. 2018, equations 1 to 6.

One generator changes labels of an image to any others: with the labels c of x, and others c',

    the discriminator minimises  L_d(D(x), D(G(x, c'))) + penalties + class_weight L_cls(D(x), c)
    the generator                L_g(D(G(x, c'))) + class_weight L_cls(D(G(x, c')), c')
                                 + cycle_weight E |x - G(G(x, c'), c)|

c' are the labels of the whole batch, shuffled. Of classes, L_cls is the cross-entropy; of attributes, the sum
over them of the binary cross-entropy, and the mean over images, as in the authors' program. The paper's L_d and
L_g are those of ``loss=wgan_gp``.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ganexp.config.ranges import NonNegative, Whole
from ganexp.data.batches import Batch
from ganexp.distributed import collectives
from ganexp.errors import UserError
from ganexp.games.acgan import classification_loss
from ganexp.games.adversarial import AdversarialGame
from ganexp.games.game import Turn
from ganexp.games.labels import checked_labels, each_attribute_alone
from ganexp.games.request import MAX_ROWS, Grid, Inputs, Request
from ganexp.games.translation import Restored, Translation
from ganexp.games.turns import critic_turn, generator_turn

_ROWS = 8
"""Rows of a preview, each of one image and what its labels are changed to."""


@dataclass(eq=False, repr=False, kw_only=True)
class StarGAN(Translation, AdversarialGame):
    """``generator(x, y)`` against ``discriminator(x)`` with a logit for each patch and for each class.

    ``exclusive``: numbers of attributes of which an image has one at most, such as colours of hair: a preview
    sets one of them and clears the others. All other attributes of a preview are reversed, each by itself.
    """

    USES_LABELS: ClassVar[bool] = True
    USES_OUTPUTS: ClassVar[bool] = True
    NEEDS_TARGET: ClassVar[bool] = False

    class_weight: NonNegative
    cycle_weight: NonNegative
    exclusive: list[Whole]

    generator: Restored = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.classes = self.generator.classes
        if not self.classes:
            raise UserError("arch.generator takes no labels: choose arch=stargan or arch=stargan_small")
        if self.parts.label_kind == "classes" and self.classes < 2:
            raise UserError(
                "StarGAN changes labels, and this data has none: set data.attribute=[Smiling,Male] with "
                "data=celeba, or take a data set with classes"
            )
        outputs = getattr(self.discriminator, "outputs", 0)
        if outputs != self.classes:
            raise UserError(
                f"arch.discriminator.outputs={outputs}: game=stargan needs a logit for each of {self.classes} "
                "classes or attributes: choose arch=stargan or arch=stargan_small"
            )
        self._check_exclusive()

    def _check_exclusive(self) -> None:
        if self.exclusive and self.parts.label_kind == "classes":
            raise UserError("game.exclusive: classes are exclusive by themselves: set game.exclusive=[]")
        for number in self.exclusive:
            if number >= self.classes:
                raise UserError(f"game.exclusive={number}: the attributes are 0 to {self.classes - 1}")

    def discriminator_turn(self, batch: Batch) -> Turn:
        call = self.discriminator_call(batch)
        assert call.real_outputs is not None
        class_loss = self.class_weight * label_loss(call.real_outputs, batch.y)
        turn = critic_turn(self.loss, self.penalties_of("d"), call, self.augment)
        return turn | Turn({"class": class_loss}, {})

    def generator_turn(self, batch: Batch) -> Turn:
        call = self.generator_call(batch)
        assert call.fake_outputs is not None
        _, wanted = call.inputs
        class_loss = self.class_weight * label_loss(call.fake_outputs, wanted)
        restored = self.generator(call.fake, batch.y)
        cycle = self.cycle_weight * (restored - batch.x).abs().mean()
        turn = generator_turn(self.loss, self.penalties_of("g"), call)
        return turn | Turn({"class": class_loss, "cycle": cycle}, {})

    def training_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        return batch.x, shuffled(batch.y)

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        """Images of ``reference`` and what their labels should become.

        These are the request's. Where it has none, and ``shared`` samples have one image, the sample of number
        n has label n changed (``grid``); otherwise each image gets the labels of another, as in training.
        """
        if request.codes:
            raise UserError("code: this run makes images from images, and knows none")
        assert reference is not None
        if self.parts.label_kind == "classes" and int(reference.y.max()) >= self.classes:
            raise UserError(
                "the held-out split has classes that the training data have not: set evaluate.split=training"
            )
        source, own = (request.repeat(part[: request.draws]) for part in (reference.x, reference.y))
        if request.label is not None:
            wanted = checked_labels(request.label, self.classes, self.parts.label_kind)
        elif request.shared > 1:
            wanted = self._changed(own, torch.arange(request.count) % request.shared)
        else:
            wanted = own.roll(1, 0)  # the rows of a reference are in random order
        return Inputs((source, wanted), labels=wanted, source=source, source_labels=own)

    def condition_pairs(
        self, count: int, rng: torch.Generator, reference: Batch | None = None
    ) -> dict[str, Inputs]:
        assert reference is not None
        values = torch.randint(2, (2 * count,), generator=rng)
        if self.parts.label_kind == "classes":
            labels = {"label": torch.randint(self.classes, (2 * count,), generator=rng)}
        else:
            labels = each_attribute_alone(values[:, None], reference.y[:count].repeat_interleave(2, 0))
        return {
            name: self.inputs(Request(2 * count, label, shared=2), rng, reference)
            for name, label in labels.items()
        }

    def preview_count(self, count: int) -> int:
        return self._columns * max(1, min(_ROWS, count // self._columns))

    def grid(self, request: Request) -> Grid:
        """One row for each image, with a column for each class, or for each attribute that is changed.

        A request that has labels keeps its own layout.
        """
        if request.label is not None or request.shared > 1:
            return super().grid(request)
        return Grid(replace(request, shared=self._columns), self._columns)

    @property
    def _columns(self) -> int:
        return min(max(2, self.classes), MAX_ROWS)

    def _changed(self, own: Tensor, number: Tensor) -> Tensor:
        """Labels of which each sample's class is its ``number`` [N], or of which that attribute is changed."""
        if self.parts.label_kind == "classes":
            return number
        if self.classes == 1:
            return number[:, None]  # a single attribute: without it, and with it
        chosen = functional.one_hot(number, self.classes).bool()
        exclusive = torch.zeros(self.classes, dtype=torch.bool)
        exclusive[self.exclusive] = True
        reversed_one = torch.where(chosen, 1 - own, own)
        only_one = torch.where(exclusive, chosen.long(), own)
        return torch.where(exclusive[number][:, None], only_one, reversed_one)


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over samples of the cross-entropy of logits [N, K] and classes [N].

    Of attributes [N, K]: of the sum over them of the binary cross-entropy.
    """
    loss = classification_loss(logits, labels)
    return loss if labels.dim() == 1 else loss * labels.shape[1]


def shuffled(labels: Tensor) -> Tensor:
    """Labels [N] or [N, K] in random order: of the whole batch, of which each rank keeps its part.

    Sorting random numbers does not wait for the device.
    """
    count, rank = len(labels), collectives.rank()
    keys = collectives.all_gather_rows(torch.rand(count, device=labels.device)).flatten()
    every = collectives.all_gather_rows(labels.flatten().to(keys.dtype)).reshape(-1, *labels.shape[1:])
    own = keys.argsort()[rank * count : (rank + 1) * count]
    return every.index_select(0, own).to(labels.dtype)
