"""Kills runs with SIGKILL at random times, resumes them, and compares them with uninterrupted runs.

    python scripts/torture.py --rounds 100 --seed 0

A round is one kill. A third of the kills come at any time, start-up included; a third during training; a third
are aimed at the writing of a checkpoint. Each run is killed several times and then left to finish. Its weights,
optimisers, RNG state, metrics, grids and TensorBoard curves are compared, bit for bit, with those of the same
run without interruption. Exits with status 1 if anything differs.
"""

import argparse
import logging
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Lock

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torture_runs import CASES, OFTEN_SAVED, run_folder, running, start, uninterrupted, wait
from tqdm import tqdm

from ganexp.runs.bitwise import TIMES, differences
from ganexp.system.terminal import plural

logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it warns about restarts, which are intended

MAX_KILLS = 6
"""The most kills per run; it may finish earlier."""


class Torture:
    """The state that the threads share."""

    def __init__(self, folder: Path, rounds: int, cases: dict[str, list[str]]) -> None:
        self.folder = folder
        self.cases = cases
        self.kills_left = rounds
        self.events: Counter[str] = Counter()
        self.differences_found: list[str] = []
        self.lock = Lock()
        self.bar = tqdm(total=rounds, unit=" kills", disable=None)

    def take_kill(self) -> bool:
        """Takes one kill from the budget; False if none is left."""
        with self.lock:
            self.kills_left -= 1
            return self.kills_left >= 0

    def count_event(self, what: str) -> None:
        with self.lock:
            self.events[what] += 1

    def kill_and_compare(self, case: str, number: int, rng: random.Random) -> None:
        """One run, killed several times, left to finish, and compared."""
        name, overrides = f"killed_{number}", self.cases[case]
        kills = 0
        while kills < MAX_KILLS and self.take_kill():
            moment = rng.choice(["anywhere", "training", "writing"])
            process = start(self.folder, name, overrides)
            if not self.kill(process, name, moment, rng):
                with self.lock:
                    self.kills_left += 1
                break  # it finished first
            kills += 1
            self.bar.update()
        if start(self.folder, name, overrides).wait() != 0:
            self.differences_found.append(f"{case}: it did not resume, see {self.folder}/{name}.err")
            return
        whole, run = (run_folder(self.folder, which) for which in (f"whole {case}", name))
        different = [*differences(whole, run), *tensorboard_differences(whole, run)]
        with self.lock:
            self.differences_found += [f"{case}, run {number}: {line}" for line in different]
            self.events["runs that were killed and compared"] += 1

    def kill(self, process: "subprocess.Popen[bytes]", name: str, moment: str, rng: random.Random) -> bool:
        """Kills a process at a time chosen by ``moment``; False if it ended before that."""
        unfinished = "outputs/" + name + "/*/checkpoints/*.tmp"
        if moment == "anywhere":
            wait(process, rng.uniform(0, 8))
        else:
            while process.poll() is None and not running(self.folder, name, process.pid):
                time.sleep(0.02)
            wait(process, rng.uniform(0, 3))
            while moment == "writing" and process.poll() is None and not list(self.folder.glob(unfinished)):
                pass
            if moment == "writing":
                wait(process, rng.uniform(0, 0.01))
        if process.poll() is not None:
            return False
        began = running(self.folder, name, process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.count_event("kills before training began" if not began else "kills while training")
        if list(self.folder.glob(unfinished)):
            self.count_event("of these, while a checkpoint was being written")
        return True


def tensorboard_differences(one: Path, two: Path) -> Iterator[str]:
    """The TensorBoard tags whose curves differ: missing, repeated or different points."""
    boards = []
    for run in (one, two):
        board = EventAccumulator(str(run), size_guidance={"scalars": 0})
        board.Reload()
        boards.append({tag: [(p.step, p.value) for p in board.Scalars(tag)] for tag in board.Tags()["scalars"]})
    for tag in sorted({*boards[0], *boards[1]} - {*TIMES}):
        if boards[0].get(tag) != boards[1].get(tag):
            yield f"TensorBoard's {tag}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="how many kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, a thread each")
    parser.add_argument("--cases", type=int, default=len(CASES), help="how many kinds of runs")
    parser.add_argument(
        "--epochs", type=int, help="epochs of every run; by default each kind has its own number"
    )
    parser.add_argument("--folder", type=Path, help="keep the runs in this folder; by default they are removed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (args.folder or Path(scratch)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        more = [OFTEN_SAVED] if args.epochs is None else [OFTEN_SAVED, f"epochs={args.epochs}"]
        cases = {name: [*CASES[name], *more] for name in list(CASES)[: args.cases]}
        differences_found = torture(Torture(folder, args.rounds, cases), args.seed, args.jobs)
    print(f"{time.monotonic() - began:.0f} s; {plural(len(differences_found), 'difference')}")
    print("\n".join(differences_found[:40]))
    sys.exit(bool(differences_found))


def torture(state: Torture, seed: int, jobs: int) -> list[str]:
    """Kills, resumes and compares runs; returns all differences."""
    with ThreadPoolExecutor(jobs) as workers:
        references = [workers.submit(uninterrupted, state.folder, *case) for case in state.cases.items()]
        if any(reference.result() for reference in references):
            return ["a run without interruption failed"]
        numbers, cases = count(), list(state.cases)

        def work(worker: int) -> None:
            while state.kills_left > 0:
                with state.lock:
                    number = next(numbers)
                state.kill_and_compare(cases[number % len(cases)], number, random.Random(f"{seed}/{number}"))

        for worker in [workers.submit(work, worker) for worker in range(jobs)]:
            worker.result()
    state.bar.close()
    for what, times in state.events.items():
        print(f"{what}: {times}")
    return state.differences_found


if __name__ == "__main__":
    main()
