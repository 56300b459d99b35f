"""The benchmark of image-to-image games: its table, its loops, and the script on stand-ins of the clones."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import ENVIRONMENT
from torch import nn

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"

UNET = """
from torch import nn


def get_norm_layer(kind):
    return {"instance": nn.InstanceNorm2d}[kind]


class UnetGenerator(nn.Conv2d):
    def __init__(self, inputs, outputs, halvings, width, norm_layer, use_dropout):
        assert (halvings, width, norm_layer, use_dropout) == (5, 2, nn.InstanceNorm2d, True)
        super().__init__(inputs, outputs, 3, padding=1)


class NLayerDiscriminator(nn.Conv2d):
    def __init__(self, inputs, width, n_layers, norm_layer):
        super().__init__(inputs, 1, 4, 2, 1)
"""

SRGAN = """
from torch import nn


class GeneratorResNet(nn.Sequential):
    def __init__(self, n_residual_blocks):
        assert n_residual_blocks == 1
        super().__init__(nn.Upsample(scale_factor=4), nn.Conv2d(3, 3, 1))


class Discriminator(nn.Conv2d):
    def __init__(self, shape):
        super().__init__(shape[0], 1, 1)
"""


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("benchmark.copied_programs")


@pytest.fixture
def size(loops: Any) -> Any:
    return loops.Size(batch=2, threads=1, resolution=8, width=2, blocks=1)


def constant(net: nn.Conv2d, value: float) -> nn.Conv2d:
    """The convolution with outputs of this value, whatever its input."""
    assert net.bias is not None
    nn.init.zeros_(net.weight)
    nn.init.constant_(net.bias, value)
    return net


def script(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPTS / "bench_translators.py", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_table_has_ratios_inside_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    bench = importlib.import_module("bench_translators")
    ours = bench.Measured([10.0, 40.0, 12.0], 2.5e9, (1000, 20))
    theirs = bench.Measured([20.0, 10.0, 4.0], 3e9, (2000, 30))
    lines = bench.table([bench.Row("pix2pix", ours, theirs, "none")]).splitlines()
    row = "| pix2pix | 12.00 | 10.00 | 3.00 (0.50 to 4.00) | 2.50, 3.00 | 1,000, 2,000 | 20, 30 |"
    assert lines[-3:] == [row, "", "pix2pix: none."]


def test_a_rate_counts_whole_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    bench = importlib.import_module("bench_translators")
    clock = iter([0.0, 2.0, 4.0, 6.0])
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(clock))
    assert bench.rate(SimpleNamespace(step=lambda: None), 8, seconds=5.0) == 3 * 8 / 6


def test_pix2pix_halves_the_loss_of_a_discriminator_that_is_frozen_afterwards(loops: Any, size: Any) -> None:
    g, d = constant(nn.Conv2d(3, 3, 1), 5.0), constant(nn.Conv2d(6, 1, 1), torch.tensor(3.0).log().item())
    networks = SimpleNamespace(
        get_norm_layer=lambda kind: kind,
        UnetGenerator=lambda *args, **settings: g,
        NLayerDiscriminator=lambda *args, **settings: d,
    )
    loops.pix2pix(networks, size).step()
    assert d.bias is not None and d.bias.grad is not None and g.bias is not None and g.bias.grad is not None
    assert d.bias.grad.item() == pytest.approx((0.75 - 1 + 0.75) / 2)  # sigmoid(log 3) = 0.75
    assert g.bias.grad.tolist() == pytest.approx([100 / 3] * 3, rel=1e-3)  # 5 exceeds every target


@pytest.mark.parametrize(("program", "pixel_weight"), [("srgan", 1.0), ("context_encoder", 0.999)])
def test_pytorch_gan_trains_the_generator_first(
    loops: Any, size: Any, program: str, pixel_weight: float
) -> None:
    conv, d = constant(nn.Conv2d(3, 3, 1), 5.0), constant(nn.Conv2d(3, 1, 1), 3.0)
    models = SimpleNamespace(
        GeneratorResNet=lambda n_residual_blocks: nn.Sequential(nn.Upsample(scale_factor=4), conv),
        Generator=lambda: nn.Sequential(nn.AvgPool2d(2), conv),
        Discriminator=lambda *args: d,
    )
    d_loss, _ = getattr(loops, program)(models, size).step()
    assert d_loss == pytest.approx((2**2 + 3**2) / 2)
    assert d.bias is not None and d.bias.grad is not None and conv.bias is not None
    assert conv.bias.grad is not None
    assert d.bias.grad.item() == pytest.approx((2 * 2 + 2 * 3) / 2, rel=1e-5)  # without the generator's turn
    assert conv.bias.grad.tolist() == pytest.approx([pixel_weight / 3] * 3, rel=1e-5)


def test_nothing_to_compare_with_is_refused(tmp_path: Path) -> None:
    done = script(tmp_path)
    assert done.returncode == 2 and "give --pix2pix, --pytorch-gan or both" in done.stderr


def test_a_folder_without_networks_is_refused(loops: Any, tmp_path: Path) -> None:
    with pytest.raises(loops.UserError, match=r"has no models/networks\.py: give the folder of a clone"):
        loops.module_at(tmp_path, "models/networks.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "shown", "left_out"),
    [
        (["--pix2pix", "a"], "| pix2pix |", "srgan"),
        (["--pytorch-gan", "b"], "| srgan |", "pix2pix"),
    ],
)
def test_the_script_runs_with_the_clones_that_are_given(
    tmp_path: Path, given: list[str], shown: str, left_out: str
) -> None:
    for name, text in {"a/models/networks.py": UNET, "b/implementations/srgan/models.py": SRGAN}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
    short = ["--rounds", "1", "--seconds", "0.01", "--resolution", "32", "--batch", "2"]
    small = ["--width", "2", "--blocks", "1", "--only", "pix2pix", "srgan"]
    done = script(tmp_path, *given, *short, *small)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shown in done.stdout and left_out not in done.stdout
