"""torchvision's weights of VGG networks (Simonyan & Zisserman 2015), from a file, the cache or its server.

They are read with ``weights_only``, so that no pickle of a stranger's is executed.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ganexp.data.cache import cache_folder, cache_lock
from ganexp.errors import UserError, first_line
from ganexp.system.atomic import replacing


def vgg_convolutions(
    name: str, levels: Sequence[Sequence[int]], weights: str | None, setting: str, instead: str
) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of the convolutions of ``vgg16`` or ``vgg19`` (``name``), as far as ``levels`` go.

    ``levels``: the channels of each level's convolutions. ``weights``: a file; None: the cache, which is filled
    by a download if it is empty. ``setting``: the key of ``weights``, and ``instead``: a choice that needs no
    file, for errors. Raises UserError where there are no such weights.
    """
    file = Path(weights).expanduser() if weights is not None else _downloaded(name, setting, instead)
    if not file.is_file():
        raise UserError(f"{setting}={weights}: there is no such file")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        found, layer, inputs = [], 0, 3
        for widths in levels:
            for outputs in widths:
                weight, bias = state[f"features.{layer}.weight"], state[f"features.{layer}.bias"]
                if list(weight.shape) != [outputs, inputs, 3, 3] or list(bias.shape) != [outputs]:
                    raise ValueError(f"features.{layer} has another shape")
                found.append((weight, bias))
                layer, inputs = layer + 2, outputs  # a ReLU follows each convolution
            layer += 1  # and a maximum each level
    except Exception as error:
        told = f"{file} does not hold torchvision's weights of {name.upper()}: {first_line(error)}"
        raise UserError(told) from None
    return found


def _downloaded(name: str, setting: str, instead: str) -> Path:
    """torchvision's file in the cache, downloaded first if missing; its name has digits of its SHA-256."""
    from torchvision.models import get_model_weights  # only here: it takes long to import

    url: str = get_model_weights(name)["IMAGENET1K_V1"].value.url
    file = cache_folder() / name / url.rpartition("/")[2]
    with cache_lock(file.parent):
        if file.is_file():
            return file
        try:
            with replacing(file) as beside:
                digits = file.stem.rpartition("-")[2]
                torch.hub.download_url_to_file(url, str(beside), hash_prefix=digits, progress=True)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{name.upper()}'s weights are not in the cache and could not be downloaded "
                f"({str(error).strip()}): set {setting}=<file of {file.name}>, or {instead}, which needs "
                "nothing"
            ) from None
    return file
