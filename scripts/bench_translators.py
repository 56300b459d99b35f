"""Measures training speed of image-to-image games beside two programs that people copy, on the CPU.

    python scripts/bench_translators.py --pix2pix <clone> --pytorch-gan <clone> --rounds 3 --seconds 10

``--pix2pix``: a clone of junyanz/pytorch-CycleGAN-and-pix2pix, whose U-Net, residual generator and patch
discriminator are trained beside ``game=pix2pix`` and ``game=cyclegan``. ``--pytorch-gan``: a clone of
eriklindernoren/PyTorch-GAN, whose SRGAN and context encoder are trained beside ``game=srgan`` and
``game=inpaint``. Nothing but the modules of their networks is imported. The loops around them do what the
programs do in a step, without their VGG content loss of SRGAN, whose weights would be downloaded: both sides
have an L1 of pixels instead.

Images are random and in memory. The programs' loops reuse one batch of floats that is ready; ganexp's step
reads its batch from the data set, averages weights and measures some gradient norms. The contenders run in
turn, round after round, in one process, in alternating order, so that a drift of the machine's speed affects
both. The table shows medians over the rounds, and the median, smallest and largest ratio of a round.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import torch
from benchmark.copied_programs import Contender, Size, module_at
from benchmark.peak import operations
from benchmark.translators import WORKLOADS, ganexp
from tqdm import tqdm

from ganexp.errors import UserError


class Measured(NamedTuple):
    """What was measured of one side of a workload."""

    rates: list[float]
    """Images per second in each round."""
    flops: float
    """Floating-point operations of a step, per image, in convolutions and matrix products."""
    parameters: tuple[int, int]
    """How many weights the generator and the discriminator have."""


class Row(NamedTuple):
    """A workload."""

    name: str
    ganexp: Measured
    program: Measured
    differences: str


def rate(contender: Contender, batch: int, seconds: float) -> float:
    """Images per second of at least one step, and of as many as begin within ``seconds``."""
    count, began = 0, time.perf_counter()
    while True:
        contender.step()
        count += batch
        elapsed = time.perf_counter() - began
        if elapsed >= seconds:
            return count / elapsed


def measured(name: str, clone: Path, size: Size, rounds: int, seconds: float) -> Row:
    """The rates of ganexp and of the program in all rounds. Raises UserError where the clone lacks a file."""
    work = WORKLOADS[name]
    ours, theirs = ganexp(work, size), work.peer(module_at(clone, work.file), size)
    both = [
        (contender, Measured([], operations(contender.step) / size.batch, contender.parameters()))
        for contender in (ours, theirs)  # the counted step warms up: it allocates the optimisers' state too
    ]
    for number in tqdm(range(rounds), desc=name, unit=" rounds", disable=None, leave=False):
        for contender, found in both if number % 2 == 0 else reversed(both):
            found.rates.append(rate(contender, size.batch, seconds))
    return Row(name, both[0][1], both[1][1], work.differences)


def table(rows: list[Row]) -> str:
    """All workloads as Markdown, and below it how their networks differ."""
    lines = [
        "G is the generator, D the discriminator; where two numbers stand, ganexp's is the first.\n",
        "| | ganexp, images/s | program, images/s | ganexp / program | GFLOP per image | weights of G | of D |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, ours, theirs, _ in rows:
        ratios = [one / other for one, other in zip(ours.rates, theirs.rates, strict=True)]
        cells = [f"{statistics.median(side.rates):,.2f}" for side in (ours, theirs)]
        cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        cells.append(f"{ours.flops / 1e9:,.2f}, {theirs.flops / 1e9:,.2f}")
        cells += [f"{one:,}, {other:,}" for one, other in zip(ours.parameters, theirs.parameters, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{row.name}: {row.differences}." for row in rows)])


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pix2pix", type=Path, help="a clone of pytorch-CycleGAN-and-pix2pix")
    parser.add_argument("--pytorch-gan", type=Path, help="a clone of PyTorch-GAN")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="per contender and round")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resolution", type=int, choices=[32, 64, 128], default=64, help="of the images")
    parser.add_argument(
        "--width", type=int, default=16, help="of pix2pix's and CycleGAN's networks; 64 in papers"
    )
    parser.add_argument("--blocks", type=int, default=16, help="residual blocks of SRGAN's generator")
    args = parser.parse_args()
    if args.pix2pix is None and args.pytorch_gan is None:
        parser.error("give --pix2pix, --pytorch-gan or both: there is nothing to compare with")
    if min(args.rounds, args.batch, args.threads, args.width) < 1 or args.blocks < 0:
        parser.error("--rounds, --batch, --threads and --width are at least 1, --blocks at least 0")
    return args


def main() -> None:
    """Reads the arguments and prints the table."""
    args = parsed()
    torch.set_num_threads(args.threads)
    size = Size(args.batch, args.threads, args.resolution, args.width, args.blocks)
    rows = []
    for name in args.only:
        clone = getattr(args, WORKLOADS[name].program)
        if clone is not None:
            try:
                rows.append(measured(name, clone, size, args.rounds, args.seconds))
            except UserError as error:
                raise SystemExit(str(error)) from None
    print(f"torch {torch.__version__}, {args.threads} threads, batches of {args.batch}\n")
    print(table(rows))


if __name__ == "__main__":
    main()
