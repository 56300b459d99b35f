"""The command line: ``ganexp <verb> [overrides]``. Every verb that takes overrides is a Hydra task.

Heavy modules are imported only when a verb needs them: ``ganexp --help`` is instant, and a wrong override is
reported before torch is loaded.
"""

import os
import sys
from collections.abc import Callable

from ganexp import __version__
from ganexp.cli.hydra_app import run_verb
from ganexp.config.targets import conf_folder
from ganexp.distributed import torchrun
from ganexp.errors import fail, suggest
from ganexp.system import openmp, parent

VERBS = {
    "train": "train a GAN: ganexp train loss=wgan_gp data=mnist data.root=<folder>",
    "tune": "search for settings: ganexp tune space=rates trials=30 -- data=mnist data.root=<folder>",
    "sample": "draw samples from a run: ganexp sample run=outputs/<name>/<run> n=64",
    "evaluate": "score a run: ganexp evaluate run=outputs/<name>/<run> metrics=[fid,precision,recall]",
    "film": "animate a run's sample grids, one frame per epoch: ganexp film run=outputs/<name>/<run>",
    "neighbours": "show the nearest training images of samples: ganexp neighbours run=outputs/<name>/<run>",
    "compare": "rank groups of runs and test their differences: ganexp compare outputs/<name>",
    "verify": "repeat a run's first steps and compare: ganexp verify run=outputs/<name>/<run>",
    "runs": "list runs: ganexp runs outputs loss=gan sort=fid_cnn",
    "diff": "show how two runs differ: ganexp diff outputs/<name>/<run> outputs/<name>/<run>",
    "data": "describe or prepare data; list, clear: ganexp data info data=folder data.root=<folder or zip>",
}

HELP = f"""ganexp {__version__}: a laboratory for generative adversarial networks on the command line

usage: ganexp <verb> [overrides] [-m] [--help] [--cfg job]

{chr(10).join(f"  {verb:12}{text}" for verb, text in VERBS.items())}

  ganexp <verb> --help        every choice and every setting of that verb
  ganexp train --cfg job      the composed configuration, without running it
  ganexp train -m loss=gan,lsgan seed=1,2     one run for each combination
  ganexp --version
  eval "$(ganexp -sc install=bash)"           completion; also zsh (through bash) and fish

Watch runs in TensorBoard: tensorboard --logdir outputs"""


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
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP)
    elif arguments[0] in ("-V", "--version", "version"):
        print(f"ganexp {__version__}")
    elif arguments[0] in ("-sc", "--shell-completion"):
        _complete(arguments)
    elif arguments[0] == "data":
        _data(arguments[1:])
    elif arguments[0] in ("runs", "diff", "compare"):
        _run_without_hydra(arguments[0], arguments[1:])
    elif arguments[0] in VERBS:
        run_verb(arguments[0], arguments[1:], f"ganexp {arguments[0]}")
    else:
        fail(f"{arguments[0]}: no such verb; {suggest(arguments[0], VERBS)}")


def _data(arguments: list[str]) -> None:
    """``ganexp data <action>``: info and prepare take overrides; list and clear work on the cache."""
    action = arguments[0] if arguments else ""
    if action in ("info", "prepare"):
        run_verb(f"data_{action}", arguments[1:], f"ganexp data {action}")
    elif action in ("list", "clear") and len(arguments) == 1:
        from ganexp.cli import data

        data.list_entries() if action == "list" else data.clear_cache()
    elif action in ("list", "clear"):
        fail(f"data {action} {arguments[1]}: this takes no arguments")
    else:
        fail(f"data {action}: no such action; {suggest(action, ('info', 'prepare', 'list', 'clear'))}")


def _run_without_hydra(verb: str, arguments: list[str]) -> None:
    """The verbs that only read runs: they take folders and key=value settings, and do not use Hydra."""
    from ganexp.cli import compare, runs

    actions = {"runs": runs.runs, "diff": runs.diff, "compare": compare.compare_runs}
    if {"-h", "--help"} & {*arguments}:
        print({"runs": runs.RUNS, "diff": runs.DIFF, "compare": compare.HELP}[verb])
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
    """Shell completion: completes verbs itself; for the rest, removes the verb and lets Hydra complete."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    completing = any(argument.startswith("query=") for argument in arguments)
    if completing and (len(words) < 2 or (len(words) == 2 and not line.endswith(" "))):
        print(" ".join(VERBS))
        return
    verb = "train"
    if completing:
        if not (conf_folder() / f"{words[1]}.yaml").is_file():
            return  # an unknown verb, or one without Hydra
        verb = words[1]
        os.environ["COMP_LINE"] = line.replace(f" {verb}", "", 1)
    run_verb(verb, arguments, program="ganexp")
