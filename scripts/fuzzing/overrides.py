"""Hostile command lines: values of wrong types and sizes, unknown settings, incomplete override syntax."""

import random
from typing import Any

from fuzzing.case import ODD_VALUES, Case, CasePaths
from fuzzing.runs import copied

KEYS = [
    "seed", "batch_size", "epochs", "max_steps", "name", "loss", "optim", "optim.lr", "optim.betas",
    "data", "data.resolution", "data.root", "game", "arch", "arch.generator.widths",
    "arch.generator.latent", "arch.discriminator.widths", "penalties", "schedule", "features",
    "metrics", "evaluate.every", "evaluate.count", "checkpoint.keep", "checkpoint.every.minutes",
    "ema.halflife", "sentinel.action", "sentinel.rate", "device", "device.precision", "experiment",
    "resume", "trust", "hydra.run.dir", "hydra.job.chdir", "data.shape", "data.classes",
    "arch.generator._target_", "loss._target_", "data.mirror",
]  # fmt: skip
WORDS = [
    '=', 'a=b=c', '+x=1', '~seed', '++a.b=c', '-m', '--multirun', '--cfg', 'job', '--help', '[',
    'seed=', '=1', 'seed=1,2', 'seed=range(1,3)', '--config-dir=/etc', 'data=${x}', '\x1b[31m=1', '--',
    '', 'loss={a:1}', 'seed=choice(1,2)', "'", '"', '@x=y', 'loss@x=gan', '\U0001f642=1', '--info',
    '-sc',
]  # fmt: skip
WORDS.append("a" * 5000 + "=1")
SIZES = ["100000000000", "30000000", "[30000000]", "[1,1,1,1]", "1000000", "[]", "1e400", "-1", "0", "0.5"]


def overrides(rng: random.Random, paths: CasePaths) -> Case:
    """A small training run with one to three odd overrides."""
    base = ["max_steps=1", "data.resolution=8", "evaluate.every=null", "name=fuzz"]
    if rng.random() < 0.7:
        base += ["arch=mlp", "arch.generator.widths=[8]", "arch.discriminator.widths=[8]"]
    for _ in range(rng.choice([1, 1, 2, 3])):
        value = rng.choice([*SIZES, *(str(odd).replace("\x00", "") for odd in ODD_VALUES)])
        word = f"{rng.choice(KEYS)}={value}" if rng.random() < 0.8 else rng.choice(WORDS)
        base.insert(rng.randrange(len(base) + 1), word)
    return Case([rng.choice(["train", "train", "train", "data", "tune"]), *base])


def readers(rng: random.Random, paths: CasePaths) -> Case:
    """A command with an odd value that reads a valid run."""
    run = copied(rng, paths)
    value = rng.choice([*SIZES, *(str(odd).replace("\x00", "") for odd in ODD_VALUES)])
    arguments = rng.choice(
        [
            ["sample", f"run={run}", f"n={value}"],
            ["sample", f"run={run}", f"label={value}"],
            ["sample", f"run={run}", "n=1", f"format={value}"],
            ["sample", f"run={run}", "n=1", f"checkpoint={value}"],
            ["sample", f"run={run}", "n=1", f"seed={value}"],
            ["evaluate", f"run={run}", f"count={value}", "features=pixels", "metrics=swd"],
            ["evaluate", f"run={run}", "count=20", f"features={value}", "metrics=swd"],
            ["neighbours", f"run={run}", f"n={value}"],
            ["neighbours", f"run={run}", f"k={value}", "count=10"],
            ["verify", f"run={run}", f"steps={value}"],
            ["verify", f"run={run}", f"against={value}"],
            ["film", f"run={run}", f"width={value}", "out=film.webp"],
            ["film", f"run={run}", f"seconds={value}", "out=film.webp"],
            ["film", f"run={run}", f"frames={value}", "out=film.webp"],
            ["runs", str(run), f"sort={value}"],
            ["runs", f"{value}"],
            ["compare", str(run), f"metric={value}"],
            ["diff", str(run), f"{value}"],
            ["sample", f"run={value}"],
        ]
    )
    return Case([*arguments, "out=made"] if arguments[0] in ("sample", "neighbours") else arguments)


KINDS: dict[str, Any] = {"overrides": overrides, "readers": readers}
