"""What README and docs say: the examples of extending run from outside, and the table of groups is complete."""

import re
import sys
from pathlib import Path

import pytest
from conftest import verb

ROOT = Path(__file__).parent.parent
README, EXTENDING = ROOT / "README.md", ROOT / "docs/extending.md"

MODULE = """
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from ganexp.config.ranges import Count, Shape, Whole
from ganexp.data.arrays import Arrays
from ganexp.data.images import Images
from ganexp.losses import Score
from ganexp.nets.layers import GeneratorBase

{classes}


class Generator(GeneratorBase):
    def __init__(self, shape: Shape, latent: Count, classes: Whole):
        super().__init__()
        self.latent, self.classes, self.shape = latent, classes, shape
        self.out = nn.Linear(latent, shape[0] * shape[1] * shape[2])

    def forward(self, z: Tensor, y=None) -> Tensor:
        return self.out(z).tanh().reshape(-1, *self.shape)


class Discriminator(nn.Module):
    def __init__(self, shape: Shape, classes: Whole):
        super().__init__()
        self.out = nn.Linear(shape[0] * shape[1] * shape[2], 1)

    def forward(self, x: Tensor, y=None) -> Tensor:
        return self.out(x.flatten(1)).flatten()
"""

ARCH = """
generator: {_target_: mine_for_readme.Generator, shape: "${data.shape}", latent: 4, classes: 0}
discriminator: {_target_: mine_for_readme.Discriminator, shape: "${data.shape}", classes: 0}
"""


def blocks(language: str) -> list[str]:
    """The code blocks of docs/extending.md in a language."""
    return re.findall(rf"```{language}\n(.*?)```", EXTENDING.read_text(encoding="utf-8"), re.DOTALL)


def test_the_examples_of_extending_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_for_readme.py").write_text(MODULE.format(classes="\n\n".join(blocks("python"))))
    for block in blocks("yaml"):
        file = tmp_path / re.findall(r"# (conf/\S+)", block)[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        body = "\n".join(line for line in block.splitlines() if not line.startswith("# conf/"))
        file.write_text(re.sub(r"ganexp\.\w+(\.stripes)?\.(Stripes|Absolute)", r"mine_for_readme.\2", body))
    (tmp_path / "conf/arch").mkdir()
    (tmp_path / "conf/arch/flat.yaml").write_text(ARCH)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    own = ("--config-dir", "conf", "loss=absolute", "loss.goal=2", "data=stripes", "arch=flat")
    verb(monkeypatch, tmp_path, "train", *own, "max_steps=3", "name=own")
    (folder,) = (tmp_path / "outputs/own").iterdir()
    assert (folder / "checkpoints/last.pt").is_file()


def test_the_readmes_commands_name_choices_that_exist() -> None:
    from ganexp.config.targets import conf_folder

    text = README.read_text(encoding="utf-8")
    for group in (
        "data",
        "recipe",
        "arch",
        "loss",
        "penalties",
        "augment",
        "game",
        "content",
        "optim",
        "schedule",
        "metrics",
        "features",
        "device",
        "experiment",
    ):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{group}` |"))
        for file in (conf_folder() / group).glob("*.yaml"):
            assert f"`{file.stem}`" in row, f"{group}={file.stem} is missing from the README"


def test_the_readme_names_the_two_lines_of_installing() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert "    pip install -e . && ganexp train" in lines
    assert "    pip install -e '.[dev]' && pytest" in lines
