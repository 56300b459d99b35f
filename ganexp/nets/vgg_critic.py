"""The discriminator of SRGAN (Ledig et al. 2017, figure 4), after VGG (Simonyan & Zisserman 2015).

With k the kernel, n the channels and s the stride, LeakyReLU 0.2 after each but the last:

    k3n64s1 | k3n64s2 norm | k3n128s1 norm, k3n128s2 norm | k3n256s1 norm, k3n256s2 norm
    k3n512s1 norm, k3n512s2 norm | dense 1024 | dense 1

Most of its weights are those of the first dense layer, so that it judges images of one size only.
"""

from torch import Tensor, nn

from ganexp.config.ranges import Count, ImageNorm, Shape
from ganexp.nets.heads import LinearHead
from ganexp.nets.layers import IMAGE_NORMS, DiscriminatorBase, LeakyReLU

_LEVELS = 4


class VGGDiscriminator(DiscriminatorBase):
    """Images [N, C, H, W] of the size ``shape`` to logits [N]."""

    classes = 0

    def __init__(self, shape: Shape, width: Count, hidden: Count, norm: ImageNorm) -> None:
        super().__init__()
        self.samplewise = norm != "batch"
        layers: list[nn.Module] = []
        channels, (height, side) = shape[0], shape[1:]
        for level in range(_LEVELS):
            outputs = width * 2**level
            for stride in (1, 2):
                layers.append(nn.Conv2d(channels, outputs, 3, stride, padding=1))
                if level or stride == 2:
                    layers.append(IMAGE_NORMS[norm](outputs))
                layers.append(LeakyReLU(0.2))
                channels = outputs
            height, side = (height + 1) // 2, (side + 1) // 2
        layers += [nn.Flatten(), nn.Linear(channels * height * side, hidden), LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.head = LinearHead(hidden)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        vectors: Tensor = self.layers(x)
        return vectors
