"""The command line: ``ganexp <verb> [overrides]``. Every verb that takes overrides is a Hydra task of its own.

Nothing heavy is imported until a verb needs it: ``ganexp --help`` answers at once, and a mistake in an
override is told before torch is loaded.
"""

import functools
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ganexp import __version__, lifeline, torchrun
from ganexp.errors import fail, suggest, tell

if TYPE_CHECKING:
    from omegaconf import DictConfig

PLUGINS = Path(__file__).resolve().parent / "plugins"
"""Holds our part of the namespace package in which Hydra looks for launchers."""

_HOME = re.compile(r"^([\w.@/+]+)=(~/[^']*)$")
"""``data.root=~/data``: no shell spells the home folder out behind a ``=``."""

VERBS = {
    "train": "train a GAN: ganexp train loss=wgan_gp data=mnist data.root=<folder>",
    "tune": "search for settings: ganexp tune space=rates trials=30 -- data=mnist data.root=<folder>",
    "sample": "images from a trained run: ganexp sample run=outputs/<name>/<run> n=64",
    "evaluate": "how good it is: ganexp evaluate run=outputs/<name>/<run> metrics=[fid,precision,recall]",
    "film": "the same latents over the epochs, as a film: ganexp film run=outputs/<name>/<run>",
    "neighbours": "samples beside their nearest training images: ganexp neighbours run=outputs/<name>/<run>",
    "compare": "runs side by side, with their uncertainty: ganexp compare outputs/<name>",
    "verify": "repeat a run's first steps and compare: ganexp verify run=outputs/<name>/<run>",
    "runs": "what there is: ganexp runs outputs loss=gan sort=fid_cnn",
    "diff": "what tells two runs apart: ganexp diff outputs/<name>/<run> outputs/<name>/<run>",
    "data": "info, prepare, list, clear: ganexp data info data=folder data.root=<folder or zip>",
}

HELP = f"""ganexp {__version__}: a laboratory for generative adversarial networks on the command line

usage: ganexp <verb> [overrides] [-m] [--help] [--cfg job]

{chr(10).join(f"  {verb:12}{text}" for verb, text in VERBS.items())}

  ganexp <verb> --help        every choice and every setting of that verb
  ganexp train --cfg job      the composed configuration, without running it
  ganexp train -m loss=gan,lsgan seed=1,2     one run for each combination
  ganexp --version
  eval "$(ganexp -sc install=bash)"           completion; also zsh (through bash) and fish

Look at runs with: tensorboard --logdir outputs"""


def main() -> None:
    """Entry point of the console script. Ends with status 2 and one line for a mistake of the user's."""
    if torchrun.rank() > 0:
        _guarded(_follow)
        return
    lifeline.hold()
    try:
        _guarded(lambda: _dispatch(sys.argv[1:]))
    finally:
        if torchrun.world() > 1:
            from ganexp.crew import over

            over()


def _follow() -> None:
    """All but the first of the processes that torchrun started: they train along with that one."""
    from ganexp.follower import follow_torchrun

    follow_torchrun()


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
        _look(arguments[0], arguments[1:])
    elif arguments[0] in VERBS:
        run_verb(arguments[0], arguments[1:], f"ganexp {arguments[0]}")
    else:
        fail(f"{arguments[0]}: no such verb; {suggest(arguments[0], VERBS)}")


def conf_folder() -> Path:
    """The configuration: inside the package in a wheel, beside it in a checkout."""
    inside = Path(__file__).resolve().parent / "conf"
    return inside if inside.is_dir() else inside.parent.parent / "conf"


def run_verb(verb: str, arguments: list[str], program: str) -> None:
    """Hands a verb and its overrides to Hydra. Raises whatever composing or running it raises."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # raise, so that one place can word the error
    sys.argv = [program, *_arranged(verb, arguments)]
    if str(PLUGINS) not in sys.path:
        sys.path.append(str(PLUGINS))
    import hydra

    from ganexp.config.members import for_each
    from ganexp.config.resolvers import register
    from ganexp.sweep import UNDER_WAY

    if {"-m", "--multirun"} & {*sys.argv}:
        groups = frozenset(path.name for path in conf_folder().iterdir() if path.is_dir()) - {"hydra"}
        sys.argv[1:] = [for_each(argument, groups) for argument in sys.argv[1:]]
    register()
    task = functools.partial(_run_task, verb)
    task.__module__ = __name__  # Hydra asks where a task comes from
    unfinished = 0
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=verb)(task)()
    finally:
        while UNDER_WAY:
            unfinished = UNDER_WAY.pop().close()
    if unfinished:
        fail(f"{unfinished} of the sweep's runs did not finish", status=1)


def _arranged(verb: str, arguments: list[str]) -> list[str]:
    """The arguments as Hydra wants them: -m before every override, a home folder spelled out."""
    many = [argument for argument in arguments if argument in ("-m", "--multirun")]
    if many and verb != "train":
        fail(f"{many[0]}: only train runs several at once")
    if many and any(argument.startswith(("-c", "--cfg")) and argument[2:3] != "o" for argument in arguments):
        fail("--cfg shows one run: leave out -m, or name a single value of each key")
    rest = [argument for argument in arguments if argument not in many]
    rest = [_HOME.sub(lambda m: f"{m[1]}='{Path(m[2]).expanduser()}'", argument) for argument in rest]
    return many + (_folded(rest) if verb == "tune" else rest)


def _folded(arguments: list[str]) -> list[str]:
    """``tune ... -- data=mnist``: what every run of a search is given becomes its setting ``train``."""
    from hydra.core.override_parser.types import Quote, QuotedString

    if "--" not in arguments:
        return arguments
    cut = arguments.index("--")
    words = ",".join(QuotedString(word, Quote.double).with_quotes() for word in arguments[cut + 1 :])
    return [*arguments[:cut], f"train=[{words}]"]


def _run_task(verb: str, cfg: "DictConfig") -> None:
    """One composed configuration: a mistake ends the command with its line, but not a sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from ganexp.config.messages import user_error
    from ganexp.config.resolvers import register
    from ganexp.config.settle import SETTLE
    from ganexp.signals import hand_on
    from ganexp.sweep import UNDER_WAY, is_done
    from ganexp.tasks import TASKS

    hydra_cfg = HydraConfig.get()
    folder = Path(hydra_cfg.runtime.output_dir)
    many = hydra_cfg.mode == RunMode.MULTIRUN
    try:
        register()  # a launcher may have started this in a process of its own
        settled = SETTLE[verb](cfg, list(hydra_cfg.overrides.task))
        for sweep in UNDER_WAY:
            sweep.add(folder)
        if many and is_done(folder, settled):
            print(f"{folder.name} is done already")
        else:
            TASKS[verb](settled)
    except KeyboardInterrupt as stopped:
        hand_on(stopped)
        raise
    except Exception as error:
        _remove_if_empty(folder)
        mistake = user_error(error)
        if mistake is None:
            traceback.print_exc()
        if not many:
            sys.exit(1) if mistake is None else fail(mistake, mistake.status)
        if mistake is not None:
            tell(mistake)  # the sweep goes on


def _remove_if_empty(folder: Path) -> None:
    """Hydra makes a run's folder before anything is known to be wrong."""
    for made in (folder, folder.parent):
        if made != Path.cwd() and made.is_dir() and not any(made.iterdir()):
            made.rmdir()


def _data(arguments: list[str]) -> None:
    """``ganexp data <action>``: two that take overrides, two that look at the cache."""
    action = arguments[0] if arguments else ""
    if action in ("info", "prepare"):
        run_verb(f"data_{action}", arguments[1:], f"ganexp data {action}")
    elif action in ("list", "clear") and len(arguments) == 1:
        from ganexp.commands import data

        data.show() if action == "list" else data.clear()
    elif action in ("list", "clear"):
        fail(f"data {action} {arguments[1]}: it takes nothing more")
    else:
        fail(f"data {action}: no such action; {suggest(action, ('info', 'prepare', 'list', 'clear'))}")


def _look(verb: str, arguments: list[str]) -> None:
    """The verbs that only look at runs: they take folders, and settings written key=value."""
    from ganexp.commands import compare, runs

    actions = {"runs": runs.runs, "diff": runs.diff, "compare": compare.compare_runs}
    if {"-h", "--help"} & {*arguments}:
        print({"runs": runs.RUNS, "diff": runs.DIFF, "compare": compare.HELP}[verb])
    else:
        actions[verb](arguments)


def _guarded(action: Callable[[], None]) -> None:
    try:
        action()
        sys.stdout.flush()
    except KeyboardInterrupt as asked:
        sys.exit(getattr(asked, "status", 130))  # 143 where it was SIGTERM that ended a run
    except BrokenPipeError:  # the reader of our output has gone: ganexp train --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        from ganexp.config.messages import explain

        line, status = explain(error)
        if line is None:
            raise
        fail(line, status)


def _complete(arguments: list[str]) -> None:
    """Answers a shell's query for verbs; cuts the verb out of the line and lets Hydra answer the rest."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    querying = any(argument.startswith("query=") for argument in arguments)
    if querying and (len(words) < 2 or (len(words) == 2 and not line.endswith(" "))):
        print(" ".join(VERBS))
        return
    verb = "train"
    if querying:
        if not (conf_folder() / f"{words[1]}.yaml").is_file():
            return  # no such verb, or one that is not Hydra's
        verb = words[1]
        os.environ["COMP_LINE"] = line.replace(f" {verb}", "", 1)
    run_verb(verb, arguments, program="ganexp")
