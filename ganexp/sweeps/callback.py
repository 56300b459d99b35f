"""A Hydra callback: validates a run, or every member of a sweep, before making folders or importing torch."""

import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ganexp.config.resolvers import RESUMABLE, overrides_name
from ganexp.config.validate import validate_config
from ganexp.errors import UserError, fail, readable_lines
from ganexp.sweeps.sweep import ACTIVE_SWEEPS, Sweep
from ganexp.system.terminal import print_lines


class ValidationCallback(Callback):
    """Ends the command with one line and exit status 2 where a setting is invalid.

    Hydra turns an exception in a callback into a warning, so the line is printed here.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Validates a single run, whose configuration is already composed."""
        self._exit_on_error(
            lambda: validate_config(kwargs["config_name"], config, list(config.hydra.overrides.task))
        )

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Composes each member of a sweep as Hydra's sweeper will, and validates it."""
        self._exit_on_error(lambda: _validate_sweep(config, kwargs["config_name"]))

    def _exit_on_error(self, action: Callable[[], object]) -> None:
        from ganexp.config.messages import explain

        try:
            action()
        except Exception as error:
            line, status = explain(error)
            if line is None:
                print(readable_lines(traceback.format_exc()), end="", file=sys.stderr)
                raise SystemExit(1) from error
            fail(line, status)


def _validate_sweep(config: DictConfig, verb: str) -> None:
    folder = Path(config.hydra.sweep.dir)
    if config.hydra.sweeper._target_ != f"{BasicSweeper.__module__}.{BasicSweeper.__name__}":
        ACTIVE_SWEEPS.append(Sweep(folder, []))
        return  # other sweepers choose values one by one; each member is validated when it starts
    parsed = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    (members,) = BasicSweeper.split_arguments(parsed, None)
    names = Counter(overrides_name(member) for member in members)
    (name, count), *_ = names.most_common(1)
    if count > 1:
        keys = ", ".join(RESUMABLE)
        raise UserError(f"{count} runs of this sweep would share the folder {name}: {keys} cannot be swept")
    runs = []
    for member in members:
        if any(override.startswith("resume=") for override in member):
            raise UserError("resume and -m cannot be combined: to continue a sweep, run its own command again")
        validated = validate_config(verb, compose(config_name=verb, overrides=member), member)
        runs.append((folder / overrides_name(member), validated))
    sweep = Sweep(folder, runs)
    print_lines(sweep.start_message())
    ACTIVE_SWEEPS.append(sweep)
