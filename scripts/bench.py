"""Measures training speed: ganexp, a textbook's loop, the bare step with the same mathematics, and the peak.

    python scripts/bench.py --rounds 7 --seconds 15 --json speed.json
    python scripts/bench.py --only mlp_28 wgan_gp_mlp_28 --precision fp32 bf16 --mnist <folder>
    python scripts/bench.py --memory 8

Images are random unless ``--mnist``, ``--cifar10`` (a zip with train/<class>/*.jpg) or ``--celeba`` gives the
path of real ones. The contenders run in turn, round after round, in one process, so that a drift of the
machine's speed affects all of them equally; the tables show medians over the rounds, and the smallest and
largest ratio of a round. The share of peak counts only the operations of the bare step, not what a contender
computes on top of them. Peak memory is measured in a separate process for each contender. ``--memory``: trains
on a data set of so many GB that stays on disk, instead of all this.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from benchmark.contenders import Bare, Contender, contenders, settings_restored
from benchmark.memory import from_disk, peaks, peaks_in_new_process
from benchmark.peak import operations, peak
from benchmark.workloads import BATCH, WORKLOADS, Place
from tqdm import tqdm

from ganexp.system.cpus import processor_name
from ganexp.training.precision import Precision

_MOST = 60_000
"""The most random images in an epoch, as many as MNIST has for training."""


def measured(name: str, place: Place, args: argparse.Namespace, bar: "tqdm[Any]") -> dict[str, Any]:
    """The contenders' rates in all rounds, the peak FLOP/s, and the contenders' peak memory."""
    work, device = WORKLOADS[name], torch.device(place.device)
    bare = Bare(name, place, graphs=False)
    flops = operations(lambda: bare.rate(work.turns))
    steps = args.seconds * bare.rate(work.turns) / BATCH
    steps = work.turns * max(1, round(steps / work.turns))
    count = min(_MOST, steps * BATCH)
    ready: dict[str, Contender] = {}
    rates: dict[str, list[float]] = {}
    peaks_measured: list[float] = []
    for number in range(args.rounds):
        with settings_restored():
            Precision(place.precision, device)
            kind = "conv" if work.convolves else "gemm"
            peaks_measured.append(peak(kind, place.precision, device, args.seconds / 4))
        for contender_name, make in contenders(name, place, count, args.workers).items():
            bar.set_description(f"{name}, {place.precision}: {contender_name}")
            if number == 0:
                ready[contender_name] = make()
                ready[contender_name].rate(work.turns)  # warm-up: what is slow only once
            rates.setdefault(contender_name, []).append(ready[contender_name].rate(steps))
            bar.update()
    memory = {} if args.no_memory else {w: peaks_in_new_process(__file__, name, w, place, count) for w in rates}
    per_image = flops / work.turns / BATCH
    found = {"workload": name, "precision": place.precision, "steps": steps, "kind": kind, "memory": memory}
    return found | {"flops_per_image": per_image, "peak_flops": max(peaks_measured), "rates": rates}


def table(found: dict[str, Any]) -> str:
    """One workload in one precision, as Markdown."""
    kind = {"conv": "convolution", "gemm": "matrix product"}[found["kind"]]
    lines = [
        f"\n### {found['workload']}, {found['precision']}\n",
        f"{found['flops_per_image'] / 1e6:,.1f} MFLOP per image; the peak is that of a large {kind}, "
        f"{found['peak_flops'] / 1e9:,.0f} GFLOP/s\n",
        "| | images/s | ganexp / it | share of peak | peak MB | on the device |",
        "|---|---|---|---|---|---|",
    ]
    for contender_name, rates in found["rates"].items():
        ratios = [ours / other for ours, other in zip(found["rates"]["ganexp"], rates, strict=True)]
        middle = statistics.median(rates)
        share = middle * found["flops_per_image"] / found["peak_flops"]
        told = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        host, on_device = (f"{mb:,.0f}" if mb else "" for mb in found["memory"].get(contender_name, (0, 0)))
        lines.append(f"| {contender_name} | {middle:,.0f} | {told} | {share:.0%} | {host} | {on_device} |")
    return "\n".join(lines)


def machine(device: str) -> dict[str, Any]:
    """The hardware and the settings of the measurement."""
    return {
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "torch": torch.__version__,
        "batch": BATCH,
    }


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=15.0, help="of the bare step, per contender and round")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--precision", nargs="+", choices=["fp32", "tf32", "bf16", "fp16"], default=["fp32"])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes of the textbook's DataLoader")
    for real in ("mnist", "cifar10", "celeba"):
        parser.add_argument(f"--{real}", type=Path, help="where real images are")
    parser.add_argument("--json", type=Path, help="a file for everything that was measured")
    parser.add_argument("--no-memory", action="store_true", help="leave out peak memory")
    parser.add_argument("--memory", type=float, metavar="GB", help="train on a set of this size on disk")
    parser.add_argument("--once", nargs=3, metavar="", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Reads the arguments and prints the tables."""
    args = parsed()
    roots = {r: str(getattr(args, r).absolute()) for r in ("mnist", "cifar10", "celeba") if getattr(args, r)}
    places = [Place(args.device, precision, roots) for precision in args.precision]
    if args.once:
        print(json.dumps(peaks(args.once[0], args.once[1], places[0], int(args.once[2]))))
        return
    if args.memory:
        print(from_disk(args.memory, places[0], args.seconds))
        return
    facts = machine(args.device)
    print(", ".join(f"{key} {value}" for key, value in facts.items() if value is not None))
    found = []
    jobs = [(name, place) for name in args.only for place in places]
    total = sum(len(contenders(name, place, BATCH, 0)) for name, place in jobs) * args.rounds
    with tqdm(total=total, unit=" runs", disable=None, leave=False) as bar:
        for name, place in jobs:
            found.append(measured(name, place, args, bar))
            tqdm.write(table(found[-1]), file=sys.stdout)
            if args.json:  # after each job, so that an interrupted benchmark keeps its results
                content = {"machine": facts, "rounds": args.rounds, "seconds": args.seconds, "found": found}
                args.json.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
