"""The workloads: networks, loss and images, as overrides of ``ganexp train``."""

from dataclasses import dataclass
from typing import NamedTuple

from ganexp.config.ranges import PrecisionName

BATCH = 64

_ONCE = "game.reuse_fake=true"  # as the textbook does
_WIDTHS = ["arch.generator.widths=[128,256,512,1024]", "arch.discriminator.widths=[512,256]"]


class Workload(NamedTuple):
    """Networks and loss of one table."""

    shape: tuple[int, int, int]
    overrides: list[str]
    real: str
    """The data set that replaces the random images if its path is given."""
    turns: int = 1
    """Critic steps per generator step."""

    @property
    def convolves(self) -> bool:
        """Whether convolutions dominate its time; otherwise matrix products do."""
        return "arch=dcgan" in self.overrides


WORKLOADS = {
    "mlp_28": Workload((1, 28, 28), ["arch=mlp", *_WIDTHS, _ONCE], "mnist"),
    "dcgan_32": Workload((1, 32, 32), ["arch=dcgan", _ONCE], "mnist"),
    "dcgan_64": Workload((3, 64, 64), ["arch=dcgan", _ONCE], "celeba"),
    "wgan_gp_mlp_28": Workload((1, 28, 28), ["arch=mlp", *_WIDTHS, "loss=wgan_gp"], "mnist", 5),
    "wgan_gp_dcgan_32": Workload((3, 32, 32), ["arch=dcgan", "loss=wgan_gp"], "cifar10", 5),
}

_REAL = {
    "mnist": ["data=mnist"],
    "cifar10": ["data=folder"],
    "celeba": ["data=celeba", "data.split=all"],
}


@dataclass(frozen=True)
class Place:
    """The device, the precision and the paths of real images."""

    device: str
    precision: PrecisionName
    roots: dict[str, str]
    """Paths by data set; images of a data set without a path are random."""

    def overrides(self, name: str, count: int) -> list[str]:
        """The overrides of workload ``name``; ``count``: the number of random images."""
        work = WORKLOADS[name]
        where = [f"device={self.device}", f"device.precision={self.precision}", f"batch_size={BATCH}"]
        return [*work.overrides, *self._data(work, count), *where, "evaluate.every=null"]

    def _data(self, work: Workload, count: int) -> list[str]:
        side = f"data.resolution={work.shape[-1]}"
        if work.real in self.roots:
            return [*_REAL[work.real], f"data.root={self.roots[work.real]}", side]
        shape = ",".join(map(str, work.shape))
        target = "data._target_=benchmark.synthetic.Noise"
        return [
            "data=digits",
            "recipe=none",
            target,
            "~data.split",
            f"+data.count={count}",
            side,
            f"data.shape=[{shape}]",
            "data.classes=1",
        ]
