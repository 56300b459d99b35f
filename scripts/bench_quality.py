"""Scores of a textbook's loop by training time, as a baseline for ``ganexp train``.

    python scripts/bench_quality.py --seconds 240 --every 60 --out textbook -- data=mnist data.root=<folder>

What follows ``--`` are overrides of ``ganexp train``: data, networks, seed and metrics are taken from them;
everything else is the textbook's (``benchmark/textbook.py``). Seconds are those of training, without scoring
and drawing. The live generator is scored, because a textbook has no EMA. For a ganexp run, the same numbers are
in ``metrics.jsonl``, with the seconds in ``speed/seconds``.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from benchmark import textbook
from benchmark.textbook import Pair
from benchmark.workloads import BATCH
from common import composed
from tqdm import tqdm

from ganexp.augment import NoAugment
from ganexp.data.download import load
from ganexp.data.picture import save_png
from ganexp.games.game import Parts
from ganexp.games.gan import GAN
from ganexp.games.request import Request
from ganexp.games.sampling import generate
from ganexp.system.rng import seed_everything, seed_for
from ganexp.training.build import build
from ganexp.training.evaluation import Evaluator

CPU = torch.device("cpu")


def train(overrides: list[str], seconds: float, every: float, out: Path) -> None:
    """Trains for ``seconds``; every ``every`` seconds writes scores to ``scores.jsonl`` and a grid."""
    cfg = composed(overrides)
    source = build(cfg.data)
    data = load(source, own=True)
    seed_everything(cfg.seed)
    pair = Pair(build(cfg.arch.generator), build(cfg.arch.discriminator)).with_torch_layers()
    evaluator = Evaluator(source, data, cfg, CPU)
    parts = Parts({"generator": pair.g, "discriminator": pair.d}, build(cfg.loss), {}, NoAugment())
    game = GAN(parts=parts, n_critic=1, n_generator=1, noise="normal", reuse_fake=False, clip=None)
    inputs = evaluator.inputs(game, data)
    preview = game.inputs(Request(64), torch.Generator().manual_seed(seed_for(cfg.seed, "preview")))
    batches, step = textbook.batches(data.samples, data.labels, 0, CPU), textbook.gan(pair, CPU)
    out.mkdir(parents=True, exist_ok=True)
    spent, images, due = 0.0, 0, every
    with tqdm(total=round(seconds), unit=" s", disable=None) as bar, (out / "scores.jsonl").open("w") as file:
        while spent < seconds:
            began = time.perf_counter()
            while spent + time.perf_counter() - began < due:
                step(next(batches))
                images += BATCH
            spent += time.perf_counter() - began
            due = min(seconds, due + every)
            scores: dict[str, Any] = evaluator.score_generator(pair.g, inputs)
            line = json.dumps({"seconds": round(spent, 1), "images": images, **scores})
            file.write(line + "\n")
            file.flush()
            tqdm.write(line)
            grid = source.draw(generate(pair.g, preview, BATCH, CPU), 8)
            save_png(grid, out / f"after_{round(spent):04d}_s.png")
            bar.update(round(spent) - bar.n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--every", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("textbook"))
    parser.add_argument("overrides", nargs="*", help="of ganexp train, after --")
    args = parser.parse_args()
    train([*args.overrides, "device=cpu"], args.seconds, args.every, args.out)


if __name__ == "__main__":
    main()
