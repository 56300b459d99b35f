"""Fuzzes ganexp with hostile run folders, checkpoints, images, labels, zips and command lines.

    python scripts/fuzz.py --commands 1000 --seed 0 --keep failures/

Every command should end with one line. Each is a case of its own, generated from the seed and its number. What
counts as a failure:

| failure | means |
|---|---|
| traceback | a traceback was printed |
| hang | the command did not end within ``--seconds`` |
| status | its status is not 0, 1, 2 or 130, or it accepted input that it must refuse |
| touched | a file outside the case's folder was created, changed or removed |
| memory | it used more than 4 GB |

Prints every failure with its command, and a table by kind; exits with status 1 if any failed. ``--keep`` keeps
the folder of each failure as it was before the command, with a script ``again.sh``. POSIX only.
"""

import argparse
import os
import random
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import torch
from fuzzing import checkpoints, datasets, overrides, runs
from fuzzing.case import Case, CasePaths
from fuzzing.forks import Outcome, forked
from tqdm import tqdm

import ganexp.cli.compare
import ganexp.cli.evaluate
import ganexp.cli.neighbours
import ganexp.cli.sample
import ganexp.cli.verify
import ganexp.train  # noqa: F401  # imported before the first fork, so that the children share them
from ganexp.system.terminal import plural

KINDS = {**runs.KINDS, **checkpoints.KINDS, **datasets.KINDS, **overrides.KINDS}
SMALL_RUN = ["arch=mlp", "arch.generator.widths=[8]", "arch.discriminator.widths=[8]", "evaluate.count=40",
         "features=pixels", "metrics=swd", "epochs=2", "max_steps=60", "device=cpu"]  # fmt: skip
VALID_RUNS = {
    "plain": [*SMALL_RUN, "data.resolution=8"],
    "classes": [*SMALL_RUN, "data.resolution=8", "game=cgan", "loss=wgan_gp"],
    "points": [*SMALL_RUN, "data=ring"],
}
MAX_MEMORY = 4000.0  # MB
FAILURES = ("traceback", "hang", "status", "touched", "memory")


class Result(NamedTuple):
    """The outcome of a case; ``what`` lists its failures."""

    number: int
    kind: str
    what: list[str]
    case: Case
    outcome: Outcome


class Fuzz:
    """The folders of a session: valid runs to copy, a canary, a cache, and a folder for the current case."""

    def __init__(self, scratch: Path, seconds: float) -> None:
        self.scratch, self.seconds = scratch, seconds
        self.valid, self.canary = scratch / "valid", scratch / "canary"
        home, cache = self.canary / "home", scratch / "cache"
        self.environment = {"HOME": str(home), "GANEXP_CACHE": str(cache), "HYDRA_FULL_ERROR": "1"}
        for folder in (home, self.canary / "inner", self.valid, scratch / "made", cache):
            folder.mkdir(parents=True)
        for file in (self.canary / "kept.txt", self.canary / "inner/epoch_0001.png", home / ".profile"):
            file.write_text("not yours\n")
        for name, settings in VALID_RUNS.items():
            done = forked(["train", *settings, f"name={name}"], scratch / "made", self.environment, 120)
            if done.status != 0:
                raise SystemExit(f"fuzz: a valid run failed: {done.output}")
            (run,) = (scratch / "made/outputs" / name).iterdir()
            run.rename(self.valid / name)

    def run_case(self, number: int, kind: str, seed: int, keep: Path | None) -> Result:
        """Prepares a case, runs it and checks its outcome."""
        paths = CasePaths(self.scratch / "case", self.valid, self.canary)
        shutil.rmtree(paths.folder, ignore_errors=True)
        paths.folder.mkdir()
        case = KINDS[kind](random.Random(f"{seed}/{number}"), paths)
        before = self._protected_files()
        kept = None if keep is None else keep / f"{number:05d}"
        if kept is not None:
            shutil.copytree(paths.folder, kept, symlinks=True, copy_function=_copy)
        outcome = forked(case.arguments, paths.folder, self.environment, self.seconds)
        what = list(_failures(case, outcome))
        changes = {path for path, _ in before ^ self._protected_files()}
        if changes:
            what.append(f"touched {', '.join(sorted(changes)[:3])}")
        if kept is not None and what:
            (kept / "again.sh").write_text(_repeat_script(case, paths.folder, kept))
            (kept / "output.txt").write_text(outcome.output, encoding="utf-8", errors="backslashreplace")
        elif kept is not None:
            shutil.rmtree(kept)
        return Result(number, kind, what, case, outcome)

    def _protected_files(self) -> set[tuple[str, tuple[int, ...]]]:
        """All files that no command may change, with sizes and times: canary, valid runs, data set."""
        found = set[tuple[str, tuple[int, ...]]]()
        for top in (self.canary, self.valid, self.scratch / "case/set", self.scratch / "case/set.zip"):
            for folder, inner, names in os.walk(top) if top.is_dir() else [(str(top.parent), [], [top.name])]:
                for name in (*inner, *names):
                    path = Path(folder, name)
                    if path.is_symlink() or path.exists():
                        stat = path.lstat()
                        found.add((str(path), (stat.st_mode, stat.st_size, stat.st_mtime_ns, stat.st_nlink)))
        return found


def _copy(source: str, target: str) -> None:
    if Path(source).is_file():  # reading a pipe would block
        shutil.copy2(source, target, follow_symlinks=False)


def _failures(case: Case, outcome: Outcome) -> list[str]:
    """The failures in a command's outcome."""
    what = []
    if "Traceback (most recent call last)" in outcome.output:
        what.append("traceback")
    if outcome.status is None:
        what.append("hang")
    elif outcome.status not in case.allowed:
        what.append(f"status {outcome.status}")
    if outcome.peak > MAX_MEMORY:
        what.append(f"memory {outcome.peak:,.0f} MB")
    return what


def _repeat_script(case: Case, paths: Path, kept: Path) -> str:
    """A shell script that repeats a failure in its kept folder."""
    words = [word.replace(str(paths), str(kept.absolute())) for word in case.arguments]
    return f"cd {shlex.quote(str(kept.absolute()))} && python -m ganexp {shlex.join(words)}\n"


def failure_text(failure: Result) -> str:
    """A failure in three lines: its kinds, the command, and the last line of its output."""
    lines = [line for line in failure.outcome.output.splitlines() if line.strip()]
    last = ascii(lines[-1][:200])[1:-1] if lines else ""
    command = ascii(shlex.join(["ganexp", *failure.case.arguments])[:300])[1:-1]
    head = f"{failure.number} {failure.kind}: {', '.join(failure.what)} ({failure.outcome.seconds:.1f} s)"
    return f"{head}\n    {command}\n    {last}"


def table(results: list[Result]) -> str:
    """A Markdown table of outcomes and failures by kind of case."""
    headings = ["kind", "commands", "done", "failed", "refused", *FAILURES]
    rows = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for kind in [*sorted({result.kind for result in results}), "all"]:
        mine = [result for result in results if kind in ("all", result.kind)]
        ends = [sum(result.outcome.status == status for result in mine) for status in (0, 1, 2)]
        wrong = [sum(any(w.startswith(name) for w in result.what) for result in mine) for name in FAILURES]
        rows.append(f"| {' | '.join(map(str, [kind, len(mine), *ends, *wrong]))} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--only", nargs="+", choices=sorted(KINDS), default=list(KINDS), help="kinds of cases")
    parser.add_argument("--seconds", type=float, default=20, help="after which a command counts as hanging")
    parser.add_argument("--all", action="store_true", help="print every command, not only failures")
    parser.add_argument("--keep", type=Path, help="where the folders of failures go")
    args = parser.parse_args()
    torch.set_num_threads(1)
    began, results = time.monotonic(), list[Result]()
    with tempfile.TemporaryDirectory() as scratch:
        fuzz = Fuzz(Path(scratch).resolve() / "fuzz", args.seconds)
        for number in tqdm(range(args.first, args.first + args.commands), unit=" commands", disable=None):
            results.append(fuzz.run_case(number, args.only[number % len(args.only)], args.seed, args.keep))
            if results[-1].what or args.all:
                tqdm.write(failure_text(results[-1]))
    failures = sum(bool(result.what) for result in results)
    print(table(results))
    print(
        f"{plural(len(results), 'command')} in {time.monotonic() - began:.0f} s; {plural(failures, 'failure')}"
    )
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
