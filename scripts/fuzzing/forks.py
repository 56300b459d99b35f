"""Runs ``ganexp`` commands in forked processes, so that only the parent imports torch."""

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
"""Bytes of address space that a command may use beyond the parent's, to protect the machine."""


class Outcome(NamedTuple):
    """How a command ended: status (None if it was killed), output, seconds, peak memory in MB."""

    status: int | None
    output: str
    seconds: float
    peak: float


def forked(arguments: list[str], folder: Path, environment: dict[str, str], seconds: float) -> Outcome:
    """Runs ``ganexp <arguments>`` in ``folder``; after ``seconds``, kills it with its child processes."""
    log = folder / "output.txt"
    sys.stdout.flush()
    began, child = time.monotonic(), os.fork()
    if child == 0:
        _run_child(arguments, folder, environment, log)
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


def _run_child(arguments: list[str], folder: Path, environment: dict[str, str], log: Path) -> None:
    """The child process: logs to a file, and exits without running the parent's ``finally`` and ``atexit``."""
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
