"""Whether the networks of ``arch`` are those that a game is played with."""

from collections.abc import Iterable

from ganexp.errors import UserError, suggest


def check_nets(game: str, wanted: tuple[str, ...], found: Iterable[object]) -> None:
    """Raises UserError if a network is missing, or is of no use to the game."""
    names = [str(name) for name in found]
    for name in wanted:
        if name not in names:
            raise UserError(f"arch.{name} is missing: {game} is played with {', '.join(wanted)}")
    for name in names:
        if name not in wanted:
            raise UserError(f"arch.{name}: {game} has no such network; {suggest(name, wanted)}")
