"""Convolutions whose shape lets them be computed as matrix products, several times as fast on a processor.

Each is torch's layer, with its weights, its initialisation and its result up to rounding. Weights are read with
channels last, the order in which they lie after ``to(memory_format=torch.channels_last)``, so that nothing is
copied.
"""

from torch import Tensor, nn
from torch.nn import functional


class FromPoint(nn.ConvTranspose2d):
    """A map grown from a point, [N, C, 1, 1] to [N, D, k, k]: a linear layer."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, kernel, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        _, channels, *kernel = self.weight.shape
        flat = x.flatten(1) @ self.weight.permute(0, 2, 3, 1).flatten(1)
        maps = flat.view(len(x), *kernel, channels).permute(0, 3, 1, 2)
        return maps if self.bias is None else maps + self.bias[:, None, None]


class ToPoint(nn.Conv2d):
    """A map judged as a whole, [N, C, k, k] to [N, D, 1, 1]: a linear layer."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        return functional.linear(x.permute(0, 2, 3, 1).flatten(1), weight, self.bias)[:, :, None, None]


class ToGrey(nn.ConvTranspose2d):
    """The last doubling, to one channel: [N, C, H, W] to [N, 1, 2H, 2W], kernel 4, stride 2, padding 1.

    Each point is multiplied with the whole kernel, and the products that overlap are added up.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1, 4, 2, 1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        count, channels, height, width = x.shape
        points = x.permute(0, 2, 3, 1).reshape(-1, channels)
        products = (points @ self.weight.flatten(1)).view(count, height * width, -1)
        image = functional.fold(products.mT, (2 * height, 2 * width), 4, padding=1, stride=2)
        assert self.bias is not None
        return image + self.bias
