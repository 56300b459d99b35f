r"""The contrastive loss of patches: Park et al. 2020, equations 3 and 4; means for sums, as in their program.

With z_l(y) the features of an image y at layer l, v_s = F_l(z_l(y)_s) / |F_l(z_l(y)_s)| for each of S places s,
and v'_s the same of another image x at the same places:

    PatchNCE(y, x) = mean over layers, images and places s of
                     -log( exp(v_s . v'_s / tau) / sum over places t of exp(v_s . v'_t / tau) )

v_s are the queries, v'_s the keys: of all places of x, the place s should be the one most like the place s of
y. The other places of the same image are the negatives, and there are none of other images. Keys are constants:
no gradient passes.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ganexp.system.float32 import at_least_float32

_SHORTEST = 1e-3
"""Vectors that are shorter are divided by this. A new projector, whose biases are 0, makes a vector of zeros of
grey, which is 0; the gradient there is the inverse of this number."""


def random_places(features: Tensor, patches: int) -> Tensor:
    """Different places of maps [N, C, H, W], drawn for each image on the device: [N, S] int64 below H * W.

    S is ``patches``, or H * W if that is less: then they are all places in their order, and nothing is drawn.
    """
    count, places = len(features), features.shape[2] * features.shape[3]
    if patches >= places:
        return torch.arange(places, device=features.device).expand(count, -1)
    return torch.rand(count, places, device=features.device).topk(patches, 1).indices


def at_places(features: Tensor, places: Tensor) -> Tensor:
    """Features [N, S, C] of maps [N, C, H, W] at places [N, S]."""
    maps = features.flatten(2)
    return maps.gather(2, places[:, None].expand(-1, maps.shape[1], -1)).transpose(1, 2)


def patch_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """The loss of one layer, a scalar in float32 at least: queries and keys [N, S, D] of any length.

    No gradient reaches ``keys``.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys = (_unit(vectors) for vectors in (queries, keys.detach()))
        similarities = queries @ keys.transpose(1, 2) / temperature
        return -similarities.log_softmax(2).diagonal(dim1=1, dim2=2).mean()


def _unit(vectors: Tensor) -> Tensor:
    return normalize(at_least_float32(vectors), dim=2, eps=_SHORTEST)
