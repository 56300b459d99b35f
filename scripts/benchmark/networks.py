"""The networks of ``bench_networks.py``, and the parameter counts of their references."""

from typing import NamedTuple


class Network(NamedTuple):
    """A choice of ``arch`` at a size; ``reference``: parameters of the published pair, generator first."""

    name: str
    overrides: tuple[str, ...]
    reference: tuple[int, int] | None = None


def _at(arch: str, side: int, *more: str) -> tuple[str, ...]:
    return (f"arch={arch}", "data=celeba", f"data.resolution={side}", *more)


_LABELS = ("game=cgan", "data=cifar10")

NETWORKS = (
    Network("mlp, 28", ("arch=mlp", "data=mnist", "data.resolution=28")),
    Network("dcgan, 32", _at("dcgan", 32)),
    Network("dcgan, 64", _at("dcgan", 64)),
    Network("resnet_small, 32", _at("resnet_small", 32)),
    Network("resnet_32", _at("resnet_32", 32), (4_276_739, 1_053_825)),
    Network("resnet, 64", _at("resnet", 64), (12_220_675, 10_141_441)),
    Network("resnet_128", _at("resnet_128", 128), (32_150_787, 29_017_857)),
    Network("sagan_small, 32", _at("sagan_small", 32)),
    Network("sagan_32, 10 classes", ("arch=sagan_32", *_LABELS), (4_386_308, 1_075_586)),
    Network("sagan, 128, mimicry's", _at("sagan", 128, "arch.discriminator.hidden=input")),
    Network("biggan_small, 32", _at("biggan_small", 32)),
    Network("biggan_32, 10 classes", ("arch=biggan_32", *_LABELS), (4_304_387, 4_207_361)),
    Network("biggan, 128", _at("biggan", 128)),
    Network("progressive_small, 32", _at("progressive_small", 32)),
    Network("progressive, 32", _at("progressive", 32), (20_719_628, 20_726_785)),
    Network("progressive, 64", _at("progressive", 64), (22_490_383, 22_498_049)),
    Network("stylegan2_small, 32", _at("stylegan2_small", 32), (263_987, 278_753)),
    Network("stylegan2_cifar", _at("stylegan2_cifar", 32), (19_947_539, 20_720_641)),
    Network(
        "stylegan2, 64, the authors' auto",
        _at(
            "stylegan2",
            64,
            *("arch.generator.base=16384", "arch.discriminator.base=16384"),
            *("arch.generator.mapping_layers=2", "arch.discriminator.mapping_layers=2"),
        ),
        (22_243_608, 23_407_361),
    ),
    Network("r3gan_small, 32", _at("r3gan_small", 32)),
    Network("r3gan", _at("r3gan", 32), (20_732_160, 20_683_776)),
    Network("r3gan, 10 classes", ("arch=r3gan", *_LABELS), (20_781_952, 21_280_512)),
    Network("r3gan_64", _at("r3gan_64", 64), (22_429_824, 22_381_440)),
)
