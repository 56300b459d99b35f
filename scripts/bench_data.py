"""How fast images reach a training step: ganexp against torchvision's ImageFolder and DataLoader.

    python scripts/bench_data.py --cifar10 cifar10.zip --celeba celeba/

``--cifar10``: a zip with train/<class>/*.jpg; ``--celeba``: a folder with img_align_celeba/. The variants run
in turn, round after round, in one process, so that a drift of the machine's speed affects all of them equally;
the table shows medians over the rounds, and the smallest and largest ratio of a round.
"""

import argparse
import itertools
import statistics
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from common import composed
from torchvision import datasets, transforms

from ganexp.data.batches import Batch
from ganexp.data.store import store
from ganexp.train import player_step
from ganexp.training.build import build, build_game
from ganexp.training.experiment_data import make_loader
from ganexp.training.model import make_optimisers
from ganexp.training.precision import Precision

BATCH = 64


def ours(overrides: list[str]) -> Iterator[Batch]:
    """ganexp's batches, epoch after epoch."""
    cfg, cpu = composed([*overrides, f"batch_size={BATCH}"]), torch.device("cpu")
    source = build(cfg.data)
    arrays = source.load()
    loader = make_loader(cfg, source, arrays, store(arrays.samples, cpu), cpu)
    while True:
        yield from loader.epoch()


def theirs(folder: Path, side: int, workers: int) -> Iterator[Batch]:
    """The batches of a tutorial: ImageFolder, the usual transforms, a shuffling DataLoader."""
    steps = [
        transforms.Resize(side),
        transforms.CenterCrop(side),
        transforms.ToTensor(),
        transforms.Normalize([0.5] * 3, [0.5] * 3),
    ]
    images = datasets.ImageFolder(str(folder), transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(images, BATCH, shuffle=True, num_workers=workers, drop_last=True)
    while True:
        for x, y in loader:
            yield Batch(x, y)


def rate(batches: Iterator[Batch], seconds: float) -> float:
    """Images per second, measured for at least ``seconds``."""
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        count += len(next(batches).x)
    return count / (time.perf_counter() - began)


def step_seconds(overrides: list[str]) -> float:
    """The median time of a DCGAN training step, both players."""
    cfg = composed(overrides)
    game = build_game(cfg).to(memory_format=torch.channels_last)
    optimisers = make_optimisers(cfg.optim, game)
    precision = Precision("fp32", torch.device("cpu"))
    batch, times = next(ours(overrides)), []
    for _ in range(8):
        began = time.perf_counter()
        for name in game.players:
            player_step(game, name, optimisers, batch, precision)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def compare(title: str, folder: Path, overrides: list[str], side: int, args: argparse.Namespace) -> None:
    """Prints one table."""
    sources = {"ganexp": ours(overrides)} | {
        f"DataLoader, {n} workers": theirs(folder, side, n) for n in (0, 2)
    }
    for batches in sources.values():  # warm-up: opens files, starts worker processes
        list(itertools.islice(batches, 2))
    rates: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(args.rounds):
        for name, batches in sources.items():
            rates[name].append(rate(batches, args.seconds))
    print(f"\n{title}\n| | images/s, median | ganexp is faster by |\n|---|---|---|")
    for name, found in rates.items():
        ratios = [mine / other for mine, other in zip(rates["ganexp"], found, strict=True)]
        middle = f"{statistics.median(ratios):.0f}x ({min(ratios):.0f} to {max(ratios):.0f})"
        print(f"| {name} | {statistics.median(found):,.0f} | {'' if name == 'ganexp' else middle} |")
    step = step_seconds(overrides)
    share = BATCH / statistics.median(rates["ganexp"]) / step
    print(
        f"\nA DCGAN step of {BATCH} images takes {step * 1e3:.0f} ms here; ganexp's data are {share:.2%} of it."
    )


def main() -> None:
    """Reads the arguments and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, help="a zip with train/<class>/*.jpg")
    parser.add_argument("--celeba", type=Path, help="a folder with img_align_celeba/")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="per variant and round")
    args = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batches of {BATCH}")
    if args.cifar10:
        with tempfile.TemporaryDirectory() as unpacked:
            with zipfile.ZipFile(args.cifar10) as archive:
                archive.extractall(unpacked, [name for name in archive.namelist() if name.startswith("train/")])
            overrides = ["data=folder", f"data.root={args.cifar10.absolute()}"]
            compare("CIFAR-10 at 32", Path(unpacked, "train"), overrides, 32, args)
    if args.celeba:
        overrides = ["data=celeba", f"data.root={args.celeba.absolute()}", "data.split=all"]
        compare("CelebA at 64", args.celeba, overrides, 64, args)


if __name__ == "__main__":
    main()
