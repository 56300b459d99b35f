"""Checks that ``arch`` has the networks that a game needs."""

from collections.abc import Iterable

from ganexp.errors import UserError, suggest


def check_nets(game: str, wanted: tuple[str, ...], found: Iterable[object]) -> None:
    """Raises UserError if a network is missing, or if the game has no network of that name."""
    names = [str(name) for name in found]
    for name in wanted:
        if name not in names:
            raise UserError(f"arch.{name} is missing: {game} is played with {', '.join(wanted)}")
    for name in names:
        if name not in wanted:
            raise UserError(f"arch.{name}: {game} has no such network; {suggest(name, wanted)}")
