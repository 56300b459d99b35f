"""Fetching what torchvision knows how to fetch; it is imported only when something is missing."""

import shutil
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from ganexp.data.arrays import Arrays
from ganexp.errors import UserError

if TYPE_CHECKING:
    from ganexp.data.source import Source

FETCHING = ContextVar("fetching", default=True)
"""False where a run folder, which may be a stranger's, says where data lie: nothing is written there."""


def fetch(what: str, where: str, root: str, download: Callable[[], object]) -> None:
    """Runs a download into ``root``. Raises UserError that says what belongs ``where``, if it cannot be had."""
    if not FETCHING.get():
        raise UserError(
            f"{what} is not in {root}, and for a run that exists already nothing is fetched: "
            "ganexp data prepare fetches it, or add trust=true"
        )
    print(f"{what} is not here yet: fetching it", flush=True)
    new = not Path(root).exists()
    try:
        download()
    except Exception as error:  # torchvision raises whatever its many mirrors raise
        if new:
            shutil.rmtree(root, ignore_errors=True)
        reason = str(error).strip().split("\n")[0].rstrip(":")
        raise UserError(
            f"{what} could not be fetched ({reason}): put {where}, or try data=digits, which needs nothing"
        ) from None


def load(source: "Source", *, own: bool) -> Arrays:
    """The data; fetched if need be, but only where an ``own`` configuration says where to. Raises UserError."""
    token = FETCHING.set(own)
    try:
        return source.load()
    finally:
        FETCHING.reset(token)
