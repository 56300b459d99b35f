"""Inception v3 as in Heusel et al. 2017, through torch-fidelity, which ports the original FID's weights.

torch-fidelity is an extra: ``pip install -e '.[inception]'``. The weights (91 MB) are downloaded once into
the cache, or read from a file, always with ``weights_only=True``.
"""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from ganexp.data.cache import cache_folder, cache_lock
from ganexp.errors import UserError, first_line
from ganexp.system.atomic import replacing

_NAME = "weights-inception-2015-12-05-6726825d.pth"
_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{_NAME}"


class Inception(nn.Module):
    """Images [N, C, H, W] in [-1, 1] to the pool features [N, 2048] and the logits [N, 1008]."""

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pixels = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        pixels = pixels.expand(-1, 3, -1, -1) if pixels.shape[1] == 1 else pixels
        features, logits = self.extractor(pixels)
        return features, logits


def inception_network(weights: str | None) -> tuple[nn.Module, str]:
    """The network and its weights' SHA-256. Raises UserError where the library or the weights are missing."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise UserError(
            "features=inception needs torch-fidelity: pip install -e '.[inception]'; features=classifier "
            "needs nothing"
        ) from None
    file = Path(weights).expanduser() if weights is not None else _downloaded()
    if not file.is_file():
        raise UserError(f"features.weights={weights}: there is no such file")
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        with TemporaryDirectory() as scratch:  # torch-fidelity loads any pickle: give it a safe copy
            copy = Path(scratch, _NAME)
            torch.save({key: value.clone() for key, value in state.items()}, copy)
            network = FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(copy)
            )
    except Exception as error:
        raise UserError(f"{file} does not hold the FID weights: {first_line(error)}") from None
    return Inception(network), checksum


def _downloaded() -> Path:
    """The weights in the cache, downloaded first if missing; the name has the first digits of their SHA-256."""
    file = cache_folder() / "inception-fid" / _NAME
    with cache_lock(file.parent):
        if file.is_file():
            return file
        try:
            with replacing(file) as beside:
                torch.hub.download_url_to_file(_URL, str(beside), hash_prefix="6726825d", progress=True)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"Inception's weights are not in the cache and could not be downloaded ({str(error).strip()}): "
                f"say features.weights=<file of {_NAME}>, or take features=classifier, which needs nothing"
            ) from None
    return file
