"""``ganexp`` commands in forked processes: torch is imported once, by the parent, and not for each of them."""

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple

from ganexp.cli.main import main

if sys.platform != "win32":
    import resource

MEMORY = 6 << 30
"""Bytes that a command may take beyond what the parent holds: the machine has to survive it."""


class Outcome(NamedTuple):
    """How a command ended: its status (None: it had to be killed), what it printed, its peak in MB."""

    status: int | None
    output: str
    seconds: float
    peak: float


def forked(arguments: list[str], folder: Path, environment: dict[str, str], seconds: float) -> Outcome:
    """Runs ``ganexp <arguments>`` in ``folder``; kills it, with all that it started, after so many seconds."""
    log = folder / "output.txt"
    sys.stdout.flush()
    began, child = time.monotonic(), os.fork()
    if child == 0:
        _become(arguments, folder, environment, log)
    status: int | None = None
    while True:
        ended, code, usage = os.wait4(child, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(code)
            break
        if time.monotonic() - began > seconds:
            os.killpg(child, signal.SIGKILL)
            _, _, usage = os.wait4(child, 0)
            break
        time.sleep(0.005)
    output = log.read_text(encoding="utf-8", errors="backslashreplace")
    return Outcome(status, output, time.monotonic() - began, usage.ru_maxrss / 1e3)


def _become(arguments: list[str], folder: Path, environment: dict[str, str], log: Path) -> None:
    """The child: its streams go to a file, and it leaves without the parent's ``finally`` and ``atexit``."""
    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    status = 1
    try:
        nothing, stream = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor, target in ((nothing, 0), (stream, 1), (stream, 2)):
            os.dup2(descriptor, target)
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
        sys.argv = ["ganexp", *arguments]
        main()
        status = 0
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)
