"""``optim`` and what a player has of its own: ``optim.d.lr=4e-4`` is the discriminator's rate alone.

A node of ``optim`` that holds settings is a player's: they override the others for it, and a ``_target_`` among
them gives it an optimiser of another kind, of which then every setting is needed.
"""

from collections.abc import Mapping
from typing import Any


def split_by_player(optim: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What all players share, and each named player's whole node."""
    shared = {str(key): value for key, value in optim.items() if not isinstance(value, Mapping)}
    own = {str(key): dict(value) for key, value in optim.items() if isinstance(value, Mapping)}
    return shared, {player: node if "_target_" in node else shared | node for player, node in own.items()}
