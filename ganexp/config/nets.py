"""Checks that ``arch`` has the networks that a game needs."""

from collections.abc import Iterable

from omegaconf import DictConfig

from ganexp.config.signatures import constant_of
from ganexp.errors import UserError, suggest


def required_nets(game: DictConfig) -> tuple[str, ...] | None:
    """The names of the networks that a game needs (``NETS`` of its class), read without importing it.

    None if the class states none. Raises LookupError if its module does not exist.
    """
    names = constant_of(str(game.get("_target_")), "NETS")
    return None if names is None else tuple(names)


def check_nets(game: str, required: tuple[str, ...], found: Iterable[object]) -> None:
    """Raises UserError if a network is missing, or if the game has no network of that name."""
    names = [str(name) for name in found]
    for name in required:
        if name not in names:
            raise UserError(f"arch.{name} is missing: {game} needs the networks {', '.join(required)}")
    for name in names:
        if name not in required:
            raise UserError(f"arch.{name}: {game} has no such network; {suggest(name, required)}")
