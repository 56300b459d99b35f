"""Trains the generators of ``ganexp/zoo`` again, scores and exports them.

    python scripts/train_zoo.py --root ~/data
    python scripts/train_zoo.py --root ~/data --only digits --seed 1 --out /tmp/again

``--root`` holds MNIST/raw and FashionMNIST/raw. Each is trained as its line in ``ZOO`` says, in a few minutes
of a core, and its folder is written into ``--out``. Data whose terms do not allow to give a generator away are
left out: CelebA is for research only, CIFAR-10 names no licence.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from ganexp.config.exported_files import GENERATOR
from ganexp.config.zoo import MODELS

LARGEST = 900_000
"""Bytes of a generator."""


class Recipe(NamedTuple):
    """``overrides`` of ``ganexp train``; ``title``, ``licence``: of the card; ``needs_root``: data files."""

    title: str
    licence: str
    overrides: tuple[str, ...]
    needs_root: bool = True


_SHORT = ("epochs=120", "evaluate.every=null")
_MNIST = ("experiment=mnist_quick", "epochs=2", "evaluate.every=null")

ZOO = {
    "digits": Recipe(
        "Digits of 16 x 16 pixels",
        "cc-by-4.0",
        ("arch.generator.widths=[128,256]", *_SHORT),
        needs_root=False,
    ),
    "digits-cgan": Recipe(
        "Digits of 16 x 16 pixels by class",
        "cc-by-4.0",
        ("game=cgan", "arch.generator.widths=[128,256]", *_SHORT),
        needs_root=False,
    ),
    "digits-vae": Recipe(
        "Digits of 16 x 16 pixels by a VAE", "cc-by-4.0", ("game=vae", "loss=none", *_SHORT), needs_root=False
    ),
    "mnist-cgan": Recipe("MNIST digits by class", "cc-by-sa-3.0", (*_MNIST, "game=cgan")),
    "fashion": Recipe("Pictures of clothes by class", "mit", (*_MNIST, "data=fashion_mnist", "game=cgan")),
}
"""By the names behind ``zoo:``."""


def train(name: str, recipe: Recipe, root: str, seed: int, folder: Path) -> Path:
    """Trains, scores and exports into ``folder``; the exported folder."""
    run, made = folder / "run", folder / name
    where = [f"data.root={root}"] if recipe.needs_root else []
    _verb("train", *recipe.overrides, *where, f"seed={seed}", "device=cpu", f"hydra.run.dir={run}")
    _verb("evaluate", f"run={run}", "checkpoint=last", "device=cpu")
    described = [f"title='{recipe.title}'", f"license={recipe.licence}"]
    _verb("export", f"run={run}", "format=safetensors", f"out={made}", *described)
    if (size := (made / GENERATOR).stat().st_size) > LARGEST:
        sys.exit(f"{name}: {size:,} bytes, more than {LARGEST:,}")
    return made


def _verb(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "ganexp", *arguments], check=True)


def main() -> None:
    """Trains those that were asked for, and replaces their folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="the folder of MNIST and FashionMNIST")
    parser.add_argument("--only", nargs="*", default=list(ZOO), choices=list(ZOO), help="their names")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--out", type=Path, default=MODELS, help="where their folders are written")
    arguments = parser.parse_args()
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as scratch:
            made = train(name, ZOO[name], arguments.root, arguments.seed, Path(scratch))
            shutil.rmtree(arguments.out / name, ignore_errors=True)
            shutil.copytree(made, arguments.out / name)


if __name__ == "__main__":
    main()
