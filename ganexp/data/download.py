"""Downloading data sets that are missing; torchvision is imported only then."""

import shutil
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from ganexp.data.arrays import Arrays
from ganexp.errors import UserError

if TYPE_CHECKING:
    from ganexp.data.source import Source

DOWNLOADS_ALLOWED = ContextVar("fetching", default=True)
"""False forbids downloads: a data path from a run folder is untrusted, and nothing is written to it."""


def fetch(what: str, where: str, root: str, download: Callable[[], object]) -> None:
    """Runs a download into ``root``. Raises UserError, with the files needed, where that fails or is off."""
    if not DOWNLOADS_ALLOWED.get():
        raise UserError(
            f"{what} is not in {root}, and an existing run downloads nothing: "
            "ganexp data prepare downloads it, or add trust=true"
        )
    print(f"{what} is missing: downloading it", flush=True)
    new = not Path(root).exists()
    try:
        download()
    except Exception as error:  # torchvision passes on all kinds of errors from its mirrors
        if new:
            shutil.rmtree(root, ignore_errors=True)
        reason = str(error).strip().split("\n")[0].rstrip(":")
        raise UserError(
            f"{what} could not be fetched ({reason}): put {where}, or try data=digits, which needs nothing"
        ) from None


def load(source: "Source", *, own: bool) -> Arrays:
    """The data set. A missing one is downloaded only if the configuration is the user's ``own``. UserError."""
    token = DOWNLOADS_ALLOWED.set(own)
    try:
        return source.load()
    finally:
        DOWNLOADS_ALLOWED.reset(token)
