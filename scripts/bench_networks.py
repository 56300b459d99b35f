"""A table of the networks: parameters, multiply-adds, and seconds of training, beside published counts.

    python scripts/bench_networks.py --seconds 4 --only small
    python scripts/bench_networks.py --no-time

Multiply-adds are those of one image, forward, in convolutions and matrix products. A time is that
of a step, one turn of the discriminator and one of the generator with ``loss=gan`` and no penalty, on random
images, in fp32 and, where the processor has such instructions, in bf16; medians of the steps that begin within
``--seconds``, at least one, after one to warm up. Networks of over a billion multiply-adds step with 4 images,
others with 32, both rounded up to what the discriminator compares. ``--only``: rows whose name contains it.
"""

import argparse
import math
import statistics
import time
from functools import partial
from typing import NamedTuple

import torch
from benchmark.networks import NETWORKS, Network
from benchmark.peak import operations
from common import composed
from omegaconf import DictConfig
from torch import nn
from tqdm import tqdm

from ganexp.data.batches import Batch
from ganexp.games.game import Game, StepProgress
from ganexp.nets.layers import count_weights
from ganexp.system.cpus import cpu_count, processor_name
from ganexp.train import player_step
from ganexp.training.build import build_game
from ganexp.training.fastest_precision import has_instructions
from ganexp.training.model import make_optimisers
from ganexp.training.precision import Precision

LARGE = 1_000
"""Millions of multiply-adds of a generator and a discriminator, from which a step has few images."""

LAST_STEP = StepProgress(step=10**9, images=10**12, done=1.0)
"""A step at which growing networks have all their layers."""


class Row(NamedTuple):
    """What was counted and measured of a network."""

    network: Network
    parameters: tuple[int, int]
    """Of the generator and of the discriminator."""
    multiply_adds: tuple[float, float]
    """Millions, of one image, forward."""
    seconds: dict[str, float]
    """Of 1,000 images, by precision."""


def row(network: Network, seconds: float, precisions: list[str]) -> Row:
    """Counts a network and, where ``seconds`` is above 0, measures a step of it in each precision."""
    cfg = composed(["recipe=none", "loss=gan", "device=cpu", *network.overrides])
    with torch.device("meta"):
        game = build_game(cfg)
    adds = counted(game, cfg)
    found = {}
    if seconds > 0:
        for name in precisions:
            images = math.lcm(4 if sum(adds) > LARGE else 32, int(cfg.arch.discriminator.get("group") or 1))
            found[name] = 1_000 * seconds_per_image(cfg, name, images, seconds)
    generator, discriminator = (
        count_weights(game.get_submodule(name)) for name in ("generator", "discriminator")
    )
    return Row(network, (generator, discriminator), adds, found)


def counted(game: Game, cfg: DictConfig) -> tuple[float, float]:
    """Millions of multiply-adds of generator and discriminator for one image; ``game`` has no values yet.

    A discriminator that compares the images of a group is given a group, and its operations are divided by it.
    """
    game.to_empty(device="cpu").eval()
    game.begin_step(LAST_STEP)
    count = int(cfg.arch.discriminator.get("group") or 1)
    z = torch.empty(1, int(cfg.arch.generator.latent))
    images = torch.empty(count, *cfg.data.shape)
    both: list[tuple[nn.Module, torch.Tensor]] = [
        (game.generator, z),
        (game.get_submodule("discriminator"), images),
    ]
    labels = [torch.zeros(len(x), dtype=torch.int64) for _, x in both]
    asked = [
        (net, (x, y) if getattr(net, "classes", 0) else (x,)) for (net, x), y in zip(both, labels, strict=True)
    ]
    with torch.no_grad():
        found = [operations(partial(net, *given)) / len(given[0]) / 2e6 for net, given in asked]
    return found[0], found[1]


def seconds_per_image(cfg: DictConfig, precision: str, images: int, seconds: float) -> float:
    """The median time of a training step, divided by its images."""
    torch.manual_seed(0)
    game = build_game(cfg).to(memory_format=torch.channels_last)
    optimisers, chosen = make_optimisers(cfg.optim, game), Precision(precision, torch.device("cpu"))  # type: ignore[arg-type]
    batch = Batch(torch.rand(images, *cfg.data.shape) * 2 - 1, torch.zeros(images, dtype=torch.int64))
    batch = batch._replace(x=batch.x.contiguous(memory_format=torch.channels_last))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < end:
        began = time.perf_counter()
        plan = game.begin_step(LAST_STEP)
        for name in plan.players:
            player_step(game, name, optimisers, batch, chosen, measured=False)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:]) / images


def table(rows: list[Row], precisions: list[str]) -> str:
    """The rows as Markdown."""
    columns = [f"s / 1,000 images, {name}" for name in precisions if any(name in row.seconds for row in rows)]
    head = ["network", "G parameters", "D parameters", "reference", "G / D multiply-adds, M", *columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in rows:
        published = "none" if one.network.reference is None else "{:,} / {:,}".format(*one.network.reference)
        same = "the same" if one.network.reference == one.parameters else published
        adds = "{:,.0f} / {:,.0f}".format(*one.multiply_adds)
        times = [f"{one.seconds[name]:,.1f}" for name in precisions if name in one.seconds]
        counts = [f"{count:,}" for count in one.parameters]
        lines.append("| " + " | ".join([one.network.name, *counts, same, adds, *times]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="for which each step is repeated")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--no-time", action="store_true", help="count only")
    arguments = parser.parse_args()
    precisions = ["fp32", "bf16"] if has_instructions("bf16") else ["fp32"]
    chosen = [network for network in NETWORKS if arguments.only in network.name]
    seconds = 0.0 if arguments.no_time else arguments.seconds
    rows = [
        row(network, seconds, precisions)
        for network in tqdm(chosen, unit=" networks", disable=None, leave=False)
    ]
    machine = f"{processor_name()}, {cpu_count()} cores, {torch.get_num_threads()} threads"
    print(f"{machine}, torch {torch.__version__}\n")
    print(table(rows, precisions))


if __name__ == "__main__":
    main()
