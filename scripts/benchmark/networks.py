"""The networks of ``bench_networks.py``, and the parameter counts of their references."""

from typing import NamedTuple


class Network(NamedTuple):
    """A choice of ``arch`` at a size; ``reference``: parameters of the published pair, generator first."""

    name: str
    overrides: tuple[str, ...]
    reference: tuple[int, int] | None = None


def _at(arch: str, side: int, *more: str) -> tuple[str, ...]:
    return (f"arch={arch}", "data=celeba", f"data.resolution={side}", *more)


NETWORKS = (
    Network("mlp, 28", ("arch=mlp", "data=mnist", "data.resolution=28")),
    Network("dcgan, 64", _at("dcgan", 64)),
    Network("resnet_32", _at("resnet_32", 32), (4_276_739, 1_053_825)),
    Network("resnet, 64", _at("resnet", 64), (12_220_675, 10_141_441)),
    Network("resnet_small, 32", _at("resnet_small", 32)),
)
