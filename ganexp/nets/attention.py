r"""Self-attention of feature maps: Zhang et al. 2019 (SAGAN), section 3, as in the authors' program.

    theta = W_theta x        C / 8 channels, at each of the N positions
    phi = pool(W_phi x)      C / 8 channels, at N / 4 positions
    g = pool(W_g x)          C / 2 channels, at N / 4 positions
    a = softmax(theta^T phi) [N, N / 4], over the pooled positions
    y = x + gamma W_o (g a^T)

The W are 1 x 1 convolutions without biases, pool is the maximum of 2 x 2 points, and gamma is a number that
starts at 0: the layer starts as the identity. The products are not divided by the root of their dimension.

It has 5 C^2 / 4 + 1 weights. Memory and time grow with the fourth power of the side.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.errors import UserError


class SelfAttention(nn.Module):
    """Maps [N, C, side, side] to maps of the same shape.

    ``player``: the node of ``arch`` that it is a layer of, for messages. Raises UserError for odd sides, whose
    last row and column the pooling would leave out, and for channels that are no multiple of 8.
    """

    def __init__(self, player: str, channels: int, side: int) -> None:
        super().__init__()
        if side % 2:
            raise UserError(
                f"arch.{player}.attention={side}: it pools 2 x 2 points; choose maps of an even side, or "
                "0 for none"
            )
        if channels % 8:
            raise UserError(
                f"arch.{player}.attention={side}: maps of that side have {channels} channels, and attention "
                f"takes multiples of 8: change arch.{player}.width or max_width, or choose 0 for none"
            )
        self.theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.out = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def weights(self, x: Tensor) -> Tensor:
        """How much each position [H W] takes of each pooled position: [N, H W, H W / 4]; rows sum to 1."""
        keys = functional.max_pool2d(self.phi(x), 2).flatten(2)
        return torch.softmax(self.theta(x).flatten(2).mT @ keys, 2)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        values = functional.max_pool2d(self.g(x), 2).flatten(2)
        attended = (values @ self.weights(x).mT).unflatten(2, x.shape[2:])
        maps: Tensor = x + self.gamma * self.out(attended)
        return maps


def with_attention(
    player: str, blocks: Sequence[nn.Module], channels: Sequence[int], sides: Sequence[int], side: int
) -> list[nn.Module]:
    """The blocks, and self-attention behind the first one whose maps have that side; 0: without it.

    ``channels``, ``sides``: of each block's output. ``player``: the node of ``arch``, for messages. Raises
    UserError if no block's maps have that side.
    """
    if not side:
        return list(blocks)
    if side not in sides:
        known = ", ".join(map(str, dict.fromkeys(sides)))
        raise UserError(
            f"arch.{player}.attention={side}: its maps have the sides {known}; choose one, or 0 for none"
        )
    place = list(sides).index(side) + 1
    return [*blocks[:place], SelfAttention(player, channels[place - 1], side), *blocks[place:]]
