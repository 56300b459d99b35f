"""Encoders of samples [N, ...] to one code for each, [N, latent], without a distribution.

The layers are those of the encoders of variational autoencoders; see ``vae.py``. A code is not bounded.
"""

from typing import ClassVar

from ganexp.nets import vae


class Encoder(vae.Encoder):
    """Images [N, C, H, W] to [N, latent]: DCGAN's discriminator with another last layer."""

    OUTPUTS: ClassVar[int] = 1


class FlatEncoder(vae.FlatEncoder):
    """Samples [N, *shape] to [N, latent], fully connected."""

    OUTPUTS: ClassVar[int] = 1
