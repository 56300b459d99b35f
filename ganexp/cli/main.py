"""The command line: ``ganexp <verb> [overrides]``. Every verb that takes overrides is a Hydra task.

Heavy modules are imported only when a verb needs them: ``ganexp --help`` is instant, and a wrong override is
reported before torch is loaded.
"""

import os
import sys
from collections.abc import Callable

from ganexp import __version__
from ganexp.cli.hydra_app import run_verb
from ganexp.cli.verbs import DATA_ACTIONS, DATA_HELP, VERBS, WITHOUT_HYDRA
from ganexp.distributed import torchrun
from ganexp.errors import fail, suggest
from ganexp.system import openmp, parent

HELP = f"""ganexp {__version__}: a laboratory for generative adversarial networks on the command line

usage: ganexp <verb> [group=choice ...] [key=value ...]

{chr(10).join(f"  {verb:12}{text}" for verb, text in VERBS.items())}

  ganexp <verb> --help        every choice and every setting of that verb; also ganexp help <verb>
  ganexp train --cfg job      the composed configuration, without running it
  ganexp train -m loss=gan,lsgan seed=1,2     one run for each combination
  ganexp --version
  eval "$(ganexp -sc install=bash)"           completion; also zsh (through bash) and fish

Watch runs in TensorBoard: tensorboard --logdir outputs"""


_SHELLS = ("bash", "fish")


def main() -> None:
    """Entry point of the console script. A UserError ends it with one line and its status, usually 2."""
    openmp.limit_spinning()  # before anything imports torch
    if torchrun.rank() > 0:
        _report_errors(_run_worker)
        return
    parent.exit_with_parent()
    try:
        _report_errors(lambda: _dispatch(sys.argv[1:]))
    finally:
        if torchrun.world_size() > 1:
            from ganexp.distributed.torchrun_group import shutdown_workers

            shutdown_workers()


def _run_worker() -> None:
    """Runs a torchrun process of rank > 0 as a worker of rank 0."""
    from ganexp.worker import join_torchrun_trainings

    join_torchrun_trainings()


def _dispatch(arguments: list[str]) -> None:
    first, *others = arguments or ["--help"]
    flags = {*others[: others.index("--")]} if "--" in others else {*others}
    if first in ("-h", "--help", "help") and not others:
        print(HELP)
    elif first == "help":
        _dispatch([*others, "--help"])
    elif first in ("-V", "--version", "version") or ((first in VERBS) and "--version" in flags):
        print(f"ganexp {__version__}")
    elif first in ("-sc", "--shell-completion"):
        _complete(arguments)
    elif first == "data":
        _data(others)
    elif first in WITHOUT_HYDRA:
        _run_without_hydra(first, others)
    elif first in VERBS:
        _run_with_hydra(first, others, f"ganexp {first}", VERBS[first])
    else:
        fail(f"{first}: no such verb; {suggest(first, VERBS)}")


def _data(arguments: list[str]) -> None:
    """``ganexp data <action>``: info and prepare take overrides; list and clear work on the cache."""
    action, *others = arguments or ["--help"]
    if action in ("-h", "--help", "help"):
        print(DATA_HELP)
    elif action in ("info", "prepare"):
        _run_with_hydra(f"data_{action}", others, f"ganexp data {action}", DATA_ACTIONS[action])
    elif action in ("list", "clear") and {"-h", "--help"} & {*others}:
        print(f"usage: ganexp data {action}\n\n{DATA_ACTIONS[action]}")
    elif action in ("list", "clear") and not others:
        from ganexp.cli import data

        data.list_entries() if action == "list" else data.clear_cache()
    elif action in ("list", "clear"):
        fail(f"data {action} {others[0]}: this takes no arguments")
    else:
        fail(f"data {action}: no such action; {suggest(action, DATA_ACTIONS)}")


def _run_with_hydra(verb: str, arguments: list[str], program: str, description: str) -> None:
    """Runs a verb that takes overrides, or prints its help. ``verb`` names its YAML."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if not {"-h", "--help"} & {*before}:
        run_verb(verb, arguments, program)
        return
    from ganexp.cli.verb_help import verb_help

    print(verb_help(verb, program, description, before))


def _run_without_hydra(verb: str, arguments: list[str]) -> None:
    """The verbs that only read runs: they take folders and key=value settings, and do not use Hydra."""
    from ganexp.cli import compare, runs, zoo

    actions = {"runs": runs.runs, "diff": runs.diff, "compare": compare.compare_runs, "zoo": zoo.zoo}
    if {"-h", "--help"} & {*arguments}:
        print({"runs": runs.RUNS, "diff": runs.DIFF, "compare": compare.HELP, "zoo": zoo.ZOO}[verb])
    else:
        actions[verb](arguments)


def _report_errors(action: Callable[[], None]) -> None:
    """Runs an action; a user's mistake ends the command with one line and an exit status, not a traceback."""
    try:
        action()
        sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        sys.exit(getattr(interrupt, "status", 130))  # 143 after SIGTERM
    except BrokenPipeError:  # the reader closed the pipe: ganexp train --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        from ganexp.config.messages import explain

        line, status = explain(error)
        if line is None:
            raise
        fail(line, status)


def _complete(arguments: list[str]) -> None:
    """Shell completion: answers ``query=<shell>`` itself; Hydra prints the scripts that install it."""
    action, _, shell = (arguments[1] if len(arguments) == 2 else "").partition("=")
    if action == "query" and shell in _SHELLS:
        from ganexp.cli.completion import print_completion

        print_completion(shell)
    elif action in ("install", "uninstall") and shell in _SHELLS:
        run_verb("train", arguments, program="ganexp")
    else:
        fail(f"{arguments[0]} prints a script for completion: {arguments[0]} install=bash, or install=fish")
