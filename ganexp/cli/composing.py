"""Composes and validates a verb's configuration in a program that is not the command line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig

from ganexp.cli.hydra_app import hydra_arguments
from ganexp.config.messages import explain
from ganexp.config.targets import conf_folder
from ganexp.config.validate import validate_config
from ganexp.data.resolvers import register
from ganexp.errors import UserError


def composed(verb: str, overrides: Sequence[str]) -> tuple[DictConfig, DictConfig]:
    """The validated configuration of a verb, and Hydra's own node. Raises UserError, and what Hydra raises."""
    for override in overrides:
        if override.startswith("-"):
            raise UserError(f"{override}: from Python, settings are given as key=value, without options")
    register()
    arguments = hydra_arguments(verb, list(overrides))
    callers = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()  # the caller may be a Hydra app, and Hydra refuses a second one
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            cfg = compose(verb, overrides=arguments, return_hydra_config=True)
    finally:
        GlobalHydra.instance().hydra = callers
    return validate_config(verb, cfg, list(cfg.hydra.overrides.task)), cfg.hydra


def quoted(value: str) -> str:
    """A value of an override in the quotes of Hydra's grammar, so that it may hold any character."""
    return QuotedString(value, Quote.double).with_quotes()


@contextmanager
def as_user_error() -> Iterator[None]:
    """Raises UserError for what the command line prints in one line; a bug keeps its exception."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        line, _ = explain(error)
        if line is None:
            raise
        raise UserError(line) from error
