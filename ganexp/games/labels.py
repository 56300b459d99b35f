"""Labels that a generator is asked for."""

import torch
from torch import Tensor
from torch.nn import functional

from ganexp.data.source import LabelKind
from ganexp.errors import UserError
from ganexp.games.request import MAX_ROWS


def each_attribute_alone(values: Tensor, others: Tensor) -> dict[str, Tensor]:
    """For each attribute ``label_0``, ``label_1`` ...: labels ``others`` [N, K] with ``values`` [N, 1] in it.

    Of many attributes, the first ``MAX_ROWS``.
    """
    column = torch.arange(others.shape[1])
    return {
        f"label_{number}": torch.where(column == number, values, others)
        for number in range(min(others.shape[1], MAX_ROWS))
    }


def checked_labels(labels: Tensor, classes: int, kind: LabelKind) -> Tensor:
    """Labels as networks take them: classes [N], or attributes [N, K] of 0 and 1.

    Of attributes, a number in [N] stands for that attribute alone. ``classes``: the number of classes, or of
    attributes. Raises UserError for labels that the data do not have.
    """
    several = kind == "attributes"
    if labels.dim() == 1:
        largest = int(labels.max())
        if largest >= classes:
            raise UserError(f"label={largest}: this run's labels are 0 to {classes - 1}")
        return functional.one_hot(labels, classes) if several else labels
    if not several or labels.shape[1:] != (classes,):
        found, wanted = list(labels.shape[1:]), [classes] if several else []
        raise UserError(f"label: of shape {found} for each sample; this run's labels are of shape {wanted}")
    return labels
