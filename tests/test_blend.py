"""Weights between those of two runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Verb, verb
from PIL import Image
from srgan_games import SMALL

from ganexp.cli import main
from ganexp.errors import UserError
from ganexp.nets.srresnet import MSRResNet
from ganexp.system.tensor_file import read
from ganexp.training.blend import blend_weights


def test_weights_between_two_networks() -> None:
    one, two = (MSRResNet([1, 4, 4], [1, 8, 8], 4, 1, "batch", "none") for _ in range(2))
    two.blocks[0].layers[1].num_batches_tracked += 3  # type: ignore[union-attr, index]
    first, second = one.state_dict(), two.state_dict()
    for alpha, wanted in ((0.0, first), (1.0, second)):
        found = blend_weights(first, second, alpha)
        assert all(torch.equal(found[key], wanted[key]) for key in wanted if wanted[key].is_floating_point())
    middle = blend_weights(first, second, 0.25)
    key = "first.0.weight"
    assert torch.allclose(middle[key], 0.75 * first[key] + 0.25 * second[key])
    assert middle["blocks.0.layers.1.num_batches_tracked"] == 3
    for other, told in ((8, "shapes of"), (4, "only one of them has")):
        larger = MSRResNet([1, 4, 4], [1, 8, 8], other, 1 if other == 8 else 2, "batch", "none")
        with pytest.raises(UserError, match=told):
            blend_weights(first, larger.state_dict(), 0.5)


def test_samples_of_weights_between_two_runs(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = [*SMALL, "recipe=none", "evaluate.every=null", "max_steps=3", "batch_size=8"]
    one, two = train(*settings, name="one"), train(*settings, "seed=1", name="two")

    def sample(*overrides: str) -> None:
        main._report_errors(lambda: verb(monkeypatch, tmp_path, "sample", "n=4", *overrides))

    own = [f'run="{two}"', f'blend.run="{one}"']
    sample(f'run="{one}"', "out=one.png")
    sample(f'run="{two}"', "out=two.png")
    for alpha in (0, 0.5, 1):
        sample(*own, f"blend.alpha={alpha}", f"out=blend_{alpha}.png")
    bytes_of = {file.stem: file.read_bytes() for file in tmp_path.glob("*.png")}
    assert bytes_of["blend_0"] == bytes_of["one"] and bytes_of["blend_1"] == bytes_of["two"]
    assert bytes_of["blend_0.5"] not in (bytes_of["one"], bytes_of["two"])
    assert read(two / "checkpoints/last.pt")["ema"].keys() == read(one / "checkpoints/last.pt")["ema"].keys()
    larger = train(*settings, "arch.generator.width=5", name="larger")
    capfd.readouterr()
    with pytest.raises(SystemExit):
        sample(f'run="{one}"', f'blend.run="{larger}"')
    told = capfd.readouterr().err
    assert "blend.run=" in told and "networks differ" in told and told.count("\n") == 1


def test_files_made_by_weights_between_two_runs(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*SMALL, "recipe=none", "evaluate.every=null", "max_steps=3", "batch_size=8"]
    one, two = train(*settings, name="one"), train(*settings, "seed=1", name="two")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "small.png")

    def made(run: Path, *overrides: str) -> bytes:
        files = [f'run="{run}"', "input=small.png", "output=made", "checkpoint=last"]
        verb(monkeypatch, tmp_path, "translate", *files, *overrides)
        return (tmp_path / "made" / "small.png").read_bytes()

    apart = [made(one), made(two)]
    assert apart[0] != apart[1]
    blend = f'blend.run="{one}"'
    assert [made(two, blend, f"blend.alpha={alpha}") for alpha in (0, 1)] == apart
