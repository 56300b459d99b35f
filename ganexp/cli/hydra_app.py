"""Runs a verb as a Hydra task, with Hydra's -m, launchers, --cfg, --help and shell completion."""

import functools
import os
import re
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganexp.cli.keyed_settings import join_keyed_settings
from ganexp.config.targets import conf_folder
from ganexp.errors import UserError, fail, print_to_stderr, readable_lines
from ganexp.system.terminal import print_lines

if TYPE_CHECKING:
    from omegaconf import DictConfig

PLUGINS = Path(__file__).resolve().parent.parent / "plugins"
"""The folder of our ``hydra_plugins``, the namespace package in which Hydra looks for launchers."""

_FUNCTIONS = {
    "sample": "ganexp.cli.sample:sample",
    "edit": "ganexp.cli.edit:edit",
    "evaluate": "ganexp.cli.evaluate:evaluate",
    "film": "ganexp.cli.film:film",
    "directions": "ganexp.cli.directions:directions",
    "interpolate": "ganexp.cli.interpolate:interpolate",
    "mix": "ganexp.cli.mix:mix",
    "neighbours": "ganexp.cli.neighbours:neighbours",
    "moredata": "ganexp.cli.moredata:moredata",
    "play": "ganexp.cli.play:play",
    "translate": "ganexp.cli.translate:translate",
    "anomaly": "ganexp.cli.anomaly:anomaly",
    "export": "ganexp.cli.export:export",
    "push": "ganexp.cli.hub:push",
    "pull": "ganexp.cli.hub:pull",
    "verify": "ganexp.cli.verify:verify",
    "tune": "ganexp.sweeps.tune.search:search",
    "data_info": "ganexp.cli.data:info",
    "data_prepare": "ganexp.cli.data:prepare",
}
"""``module:function`` by the name of the verb's configuration."""

_TILDE_PATH = re.compile(r"^([\w.@/+]+)=(~/[^']*)$")
"""``data.root=~/data``: shells do not expand ``~`` after ``=``."""


def run_verb(verb: str, arguments: list[str], program: str) -> None:
    """Calls Hydra with a verb and its overrides. Raises whatever composing or running it raises."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises, and errors are worded in one place
    sys.argv = [program, *hydra_arguments(verb, _with_guesses(verb, arguments))]
    if str(PLUGINS) not in sys.path:
        sys.path.append(str(PLUGINS))
    import hydra
    from hydra.errors import HydraException

    from ganexp.data.resolvers import register
    from ganexp.sweeps.choice_sweep import as_choice_sweep
    from ganexp.sweeps.sweep import ACTIVE_SWEEPS

    if {"-m", "--multirun"} & {*sys.argv}:
        groups = frozenset(path.name for path in conf_folder().iterdir() if path.is_dir()) - {"hydra"}
        sys.argv[1:] = [as_choice_sweep(argument, groups) for argument in sys.argv[1:]]
    register()
    task = functools.partial(_run_task, verb)
    task.__module__ = __name__  # Hydra reads it, and a partial's is functools
    unfinished = 0
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=verb)(task)()
    except HydraException as error:
        if verb == "train":
            _propose_sweep(error)
        raise
    finally:
        while ACTIVE_SWEEPS:
            unfinished = ACTIVE_SWEEPS.pop().close()
    if unfinished:
        fail(f"{unfinished} of the sweep's runs did not finish", status=1)


def _propose_sweep(error: Exception) -> None:
    """Raises UserError, with ``-m``, where a setting of a single run names several values."""
    from ganexp.config.messages import LISTS, several_values

    override = several_values(error)
    if override is not None and override.partition("=")[0] not in LISTS:
        raise UserError(f"{override} names several values: add -m to run each of them") from error


def _with_guesses(verb: str, arguments: list[str]) -> list[str]:
    """The arguments with guesses understood, those of tune's trials too. Raises UserError."""
    from ganexp.config.guesses import check_place, with_guesses

    cut = arguments.index("--") if verb == "tune" and "--" in arguments else len(arguments)
    trials = with_guesses("train", arguments[cut + 1 :])
    own = with_guesses(verb, arguments[:cut])
    if verb == "tune":
        check_place(own, trials)
    return [*own, *arguments[cut : cut + 1], *trials]


def hydra_arguments(verb: str, arguments: list[str]) -> list[str]:
    """The arguments as Hydra expects them: -m first, ``~`` expanded, settings with keys joined.

    Tune's trial overrides become one list. Raises UserError.
    """
    multirun = [argument for argument in arguments if argument in ("-m", "--multirun")]
    if multirun and verb != "train":
        fail(f"{multirun[0]}: only train can be swept; leave it out")
    if multirun and any(
        argument.startswith(("-c", "--cfg")) and argument[2:3] != "o" for argument in arguments
    ):
        fail("--cfg shows one run: leave out -m and give each key a single value")
    others = [argument for argument in arguments if argument not in multirun]
    others = [_TILDE_PATH.sub(lambda m: f"{m[1]}='{Path(m[2]).expanduser()}'", argument) for argument in others]
    others = join_keyed_settings(verb, others)
    return multirun + (_fold_trial_overrides(others) if verb == "tune" else others)


def _fold_trial_overrides(arguments: list[str]) -> list[str]:
    """``tune ... -- data=mnist``: moves the overrides after ``--``, for every trial, into ``train=[...]``."""
    from hydra.core.override_parser.types import Quote, QuotedString

    if "--" not in arguments:
        return arguments
    cut = arguments.index("--")
    words = ",".join(QuotedString(word, Quote.double).with_quotes() for word in arguments[cut + 1 :])
    return [*arguments[:cut], f"train=[{words}]"]


def _run_task(verb: str, cfg: "DictConfig") -> None:
    """Runs one composed configuration. A UserError ends the command with one line, but a sweep continues."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from ganexp.config.messages import user_error
    from ganexp.config.validate import VALIDATORS
    from ganexp.data.resolvers import register
    from ganexp.sweeps.sweep import ACTIVE_SWEEPS, is_done
    from ganexp.system.signals import reraise_signal

    hydra_cfg = HydraConfig.get()
    folder = Path(hydra_cfg.runtime.output_dir)
    multirun = hydra_cfg.mode == RunMode.MULTIRUN
    try:
        register()  # a launcher may have started a new process
        validated = VALIDATORS[verb](cfg, list(hydra_cfg.overrides.task))
        for sweep in ACTIVE_SWEEPS:
            sweep.add(folder)
        if multirun and is_done(folder, validated):
            print_lines(f"{folder.name} is done already")
        else:
            _call(verb, validated)
    except KeyboardInterrupt as stopped:
        reraise_signal(stopped)
        raise
    except Exception as error:
        _remove_if_empty(folder)
        user_mistake = user_error(error)
        if user_mistake is None:
            print(readable_lines(traceback.format_exc()), end="", file=sys.stderr)
        if not multirun:
            sys.exit(1) if user_mistake is None else fail(user_mistake, user_mistake.status)
        if user_mistake is not None:
            print_to_stderr(user_mistake)  # the sweep continues


def _call(verb: str, cfg: "DictConfig") -> None:
    """Calls a verb's function; torch is imported no earlier than here. Raises whatever the verb raises."""
    if verb == "train":
        _train(cfg)
        return
    module, _, name = _FUNCTIONS[verb].partition(":")
    getattr(import_module(module), name)(cfg)


def _train(cfg: "DictConfig") -> None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from ganexp.cli.last_grid import show_last_grid
    from ganexp.train import train

    hydra_cfg = HydraConfig.get()
    folder = Path(hydra_cfg.runtime.output_dir)
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())  # the form in which a user would type it
    train(cfg, folder, group_choices(hydra_cfg.runtime.choices))
    if hydra_cfg.mode != RunMode.MULTIRUN:
        show_last_grid(folder)


def _remove_if_empty(folder: Path) -> None:
    """Removes an empty run folder and parent: Hydra creates them before the configuration is checked."""
    for made in (folder, folder.parent):
        if made != Path.cwd() and made.is_dir() and not any(made.iterdir()):
            made.rmdir()


def group_choices(choices: Mapping[str, Any]) -> dict[str, str]:
    """The choice of each configuration group, such as ``loss: wgan_gp``, without Hydra's own groups."""
    return {key: str(value) for key, value in choices.items() if "/" not in key}
