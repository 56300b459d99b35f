"""How pages listen to their controls."""

from collections.abc import Callable, Sequence
from typing import Any

_ONE_AT_A_TIME = "torch"
"""Networks and random states are shared by all pages of the process."""


def listen(
    event: Callable[..., Any], action: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]
) -> None:
    """Calls ``action`` at each event; of those that come while it works, only at the last one."""
    event(
        action,
        list(inputs),
        list(outputs),
        show_progress="hidden",
        trigger_mode="always_last",
        concurrency_id=_ONE_AT_A_TIME,
        concurrency_limit=1,
        api_visibility="private",
    )
