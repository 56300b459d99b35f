"""Settings of ``optim`` for single players: ``optim.d.lr=4e-4`` is the learning rate of the discriminator only.

A node ``optim.<player>`` overrides the shared settings for that player. If it has a ``_target_``, the player
gets another class of optimiser, and the node must have all settings of that class.
"""

from collections.abc import Mapping
from typing import Any


def split_by_player(optim: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The settings that all players share, and the complete node of each player that has its own."""
    shared = {str(key): value for key, value in optim.items() if not isinstance(value, Mapping)}
    own = {str(key): dict(value) for key, value in optim.items() if isinstance(value, Mapping)}
    return shared, {player: node if "_target_" in node else shared | node for player, node in own.items()}
