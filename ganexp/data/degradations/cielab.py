"""CIE L*a*b* (1976) of sRGB images, D65, in torch: differentiable, on any device.

sRGB to linear light: IEC 61966-2-1; to XYZ: the same standard's matrix; to Lab: CIE 15, with the white of that
matrix, so that grey has exactly a = b = 0. Values outside of the gamut are kept, not clipped.
"""

import numpy as np
import torch
from torch import Tensor

_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""Linear sRGB to XYZ."""

_RELATIVE = _XYZ / _XYZ.sum(1, keepdims=True)
"""Linear sRGB to XYZ in units of the white's."""

_INVERSE = np.linalg.inv(_RELATIVE)

_DELTA = 6 / 29


def rgb_to_lab(images: Tensor) -> Tensor:
    """sRGB [N, 3, H, W] in [-1, 1] to L in [0, 100], a and b (about -110 to 110) [N, 3, H, W]."""
    light = _to_linear((images + 1) / 2)
    x, y, z = _compress(_transformed(_RELATIVE, light)).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """The inverse of ``rgb_to_lab``; colours out of sRGB's gamut exceed [-1, 1]."""
    lightness, a, b = lab.unbind(1)
    y = (lightness + 16) / 116
    relative = _expand(torch.stack([y + a / 500, y, y - b / 200], 1))
    return 2 * _from_linear(_transformed(_INVERSE, relative)) - 1


def _transformed(matrix: np.ndarray, colours: Tensor) -> Tensor:
    """A 3 x 3 matrix times each colour of [N, 3, H, W].

    A product of matrices would be computed in 16 bits under autocast, or in TF32: L would be wrong by 2. The
    numbers are Python's, so nothing is copied to the device in a step.
    """
    one, two, three = colours.unbind(1)
    return torch.stack([a * one + b * two + c * three for a, b, c in matrix.tolist()], 1)


def _to_linear(values: Tensor) -> Tensor:
    curve = ((values.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(values > 0.04045, curve, values / 12.92)


def _from_linear(values: Tensor) -> Tensor:
    curve = 1.055 * values.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(values > 0.0031308, curve, 12.92 * values)


def _compress(values: Tensor) -> Tensor:
    root = values.clamp(min=_DELTA**3) ** (1 / 3)
    return torch.where(values > _DELTA**3, root, values / (3 * _DELTA**2) + 4 / 29)


def _expand(values: Tensor) -> Tensor:
    return torch.where(values > _DELTA, values**3, 3 * _DELTA**2 * (values - 4 / 29))
