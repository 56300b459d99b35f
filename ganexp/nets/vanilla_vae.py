"""The networks of PyTorch-VAE's VanillaVAE (A. K. Subramanian), for images whose side is a multiple of 32.

    encoder, for 64 x 64 pixels                decoder
    Conv2d    32 x 32 x 32  norm LeakyReLU     linear             512 x  2 x  2
    Conv2d    64 x 16 x 16  norm LeakyReLU     ConvTranspose2d    256 x  4 x  4  norm LeakyReLU
    Conv2d   128 x  8 x  8  norm LeakyReLU     ConvTranspose2d    128 x  8 x  8  norm LeakyReLU
    Conv2d   256 x  4 x  4  norm LeakyReLU     ConvTranspose2d     64 x 16 x 16  norm LeakyReLU
    Conv2d   512 x  2 x  2  norm LeakyReLU     ConvTranspose2d     32 x 32 x 32  norm LeakyReLU
    linear     2 latent                        ConvTranspose2d     32 x 64 x 64  norm LeakyReLU
                                               Conv2d               C x 64 x 64  tanh

All strided convolutions have kernel 3, stride 2, padding 1, transposed ones also output padding 1; the last
convolution has kernel 3, stride 1, padding 1. Weights begin as torch's do.
"""

from itertools import pairwise

from torch import Tensor, nn

from ganexp.config.ranges import Count, Shape, Widths
from ganexp.nets.layers import GeneratorBase, LeakyReLU, smallest_side

_SLOPE = 0.01


def _side(shape: list[int], widths: list[int]) -> int:
    return smallest_side("vanilla_vae", shape, 2 ** len(widths))


class Encoder(nn.Module):
    """Images [N, C, H, W] to means and log variances [N, 2 latent]."""

    def __init__(self, shape: Shape, latent: Count, widths: Widths) -> None:
        super().__init__()
        self.latent = latent
        layers: list[nn.Module] = []
        for before, after in pairwise([shape[0], *widths]):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), LeakyReLU(_SLOPE)]
        vector = widths[-1] * _side(shape, widths) ** 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(vector, 2 * latent))

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.layers(x)
        return codes


class Generator(GeneratorBase):
    """Latents [N, latent] to images [N, C, H, W] in [-1, 1]. ``widths``: in the order of the encoder."""

    def __init__(self, shape: Shape, latent: Count, widths: Widths) -> None:
        super().__init__()
        self.latent = latent
        self.classes = 0
        side, reverse = _side(shape, widths), widths[::-1]
        layers: list[nn.Module] = [nn.Linear(latent, reverse[0] * side**2)]
        layers.append(nn.Unflatten(1, (reverse[0], side, side)))
        for before, after in pairwise([*reverse, reverse[-1]]):
            layers.append(nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1))
            layers += [nn.BatchNorm2d(after), LeakyReLU(_SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(reverse[-1], shape[0], 3, 1, 1), nn.Tanh())

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        images: Tensor = self.layers(z)
        return images
