"""Filters that several degradations share; all of them compute in float32, also under autocast."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from ganexp.errors import UserError


def gray(images: Tensor) -> Tensor:
    """The luma of BT.601, 0.299 R + 0.587 G + 0.114 B, of images [N, 3 or 1, H, W]: [N, 1, H, W]."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, 1)
    luma: Tensor = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma


def in_8_bits(images: Tensor) -> Tensor:
    """Images in [-1, 1], clipped and rounded to the values that a file can hold.

    Otherwise a network could learn from decimals that no file has, and would fail on files.
    """
    return ((images.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def kernel_radius(sigma: float) -> int:
    """The pixels that a Gaussian kernel reaches: three standard deviations, rounded up."""
    return math.ceil(3 * sigma)


def check_radius(setting: str, sigma: float, shape: Sequence[int]) -> None:
    """Raises UserError where the kernel of that sigma is too large for images [C, H, W]; see gaussian_blur."""
    side = min(shape[1:])
    if kernel_radius(sigma) >= side:
        raise UserError(f"{setting}={sigma:g}: three times that exceeds the image's {side} pixels")


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Images [N, C, H, W], each blurred by its ``sigma`` [N] in pixels; 0 is no blur.

    The kernel is cut off at ``radius``, which must be less than H and W, and the border is reflected.
    """
    count, channels, height, width = images.shape
    places = torch.arange(-radius, radius + 1, device=images.device, dtype=torch.float32)
    kernel = torch.exp(-(places**2) / (2 * sigma.float()[:, None].clamp(min=1e-3) ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    with torch.autocast(images.device.type, enabled=False):
        rows = images.float().reshape(1, count * channels, height, width)
        rows = pad(rows, (0, 0, radius, radius), mode="reflect")
        columns = conv2d(rows, kernel[:, None, :, None], groups=count * channels)
        columns = pad(columns, (radius, radius, 0, 0), mode="reflect")
        blurred = conv2d(columns, kernel[:, None, None, :], groups=count * channels)
    return blurred.reshape(images.shape)
