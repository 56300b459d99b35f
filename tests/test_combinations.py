"""What cannot go together is refused or warned of before anything starts, with what to choose instead."""

from pathlib import Path

import pytest
from conftest import TINY, Verb, composed

from ganexp.config.combinations import combination_warnings, combinations_table
from ganexp.errors import UserError

SPECTRAL = ["arch=resnet_small", "arch.discriminator.spectral=true"]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["penalties=r1", "arch.discriminator.norm=batch"], "norm=batch.*mixes.*norm=none or layer"),
        (["loss=wgan_gp", "+penalties.dragan=${dragan}"], "certain norm.*choose one"),
        (["game=vae"], "game=vae, beta_vae, capacity_vae, fanogan or style.*loss=none and penalties=none"),
        (["game=style", "game.image=a.png"], "or style: they train no discriminator; set loss=none"),
        (
            ["game=style", "game.image=a.png", "loss=none", "penalties=r1"],
            "or style: they train no discriminator; set loss=none",
        ),
        (["game=vae", "loss=none", "likelihood=bernoulli", "arch=vae_mlp", "data=ring"], "likelihood=gaussian"),
        (
            ["arch=progressive_small", "data.resolution=32", "arch.discriminator.fade_images=9"],
            "growing networks of different schedules",
        ),
        (["penalties=path_length"], "without styles.*arch=stylegan2"),
        (
            ["arch=progressive_small", "data.resolution=32", "device=cpu", "device.compile=true"],
            "growing network.*device.compile=false",
        ),
        (["loss=wgan", *SPECTRAL, "data.resolution=32"], "game.clip with spectral norms.*game.clip=null"),
    ],
)
def test_refused(overrides: list[str], told: str) -> None:
    dragan = "{_target_:ganexp.penalties.Dragan,weight:1.0,target:1.0,noise:0.5,every:1}"
    with pytest.raises(UserError, match=told):
        composed(*(override.replace("${dragan}", dragan) for override in overrides))


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ([*SPECTRAL, "data.resolution=32", "optim.weight_decay=0.1"], ["optim.weight_decay"]),
        (["loss=wgan_gp", "optim.ttur=4"], ["optim.ttur above 1"]),
        (["device=cpu", "device.precision=fp16", "penalties=r1"], ["device.precision=fp16"]),
        (["arch=progressive_small", "optim=sgd", "data.resolution=32"], ["optim=sgd"]),
        (["arch=stylegan2_small", "game=pacgan", "data.resolution=32"], ["game=pacgan"]),
        (["arch=stylegan2", "game.noise=uniform", "data.resolution=32"], ["style mixing"]),
        (
            ["arch=stylegan2_small", "device=cpu", "device.precision=fp16", "data.resolution=32"],
            ["demodulated convolutions"],
        ),
        (
            ["arch=sagan", "arch.generator.attention=128", "data=celeba", "data.resolution=128"],
            ["self-attention"],
        ),
        (["loss=wgan_gp"], []),
        ([], []),
    ],
)
def test_warned_of(overrides: list[str], told: list[str]) -> None:
    lines = combination_warnings(composed(*overrides))
    assert len(lines) == len(told)
    for line, part in zip(lines, told, strict=True):
        assert line.startswith("warning: ") and part in line


def test_a_warning_is_in_the_log(train: Verb) -> None:
    folder = train(*TINY, "max_steps=2", "loss=wgan_gp", "optim.ttur=4")
    assert "warning: optim.ttur above 1 with game.n_critic above 1" in (folder / "train.log").read_text()


def test_the_documentation_has_the_table() -> None:
    assert combinations_table() in Path(__file__, "../../docs/networks.md").resolve().read_text()
