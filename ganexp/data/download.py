"""Downloading data sets that are missing; torchvision is imported only then."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from ganexp.data.arrays import Arrays
from ganexp.errors import UserError

if TYPE_CHECKING:
    from ganexp.data.source import Source

DOWNLOADS_ALLOWED = ContextVar("fetching", default=True)
"""False forbids downloads: a data path from a run folder is untrusted, and nothing is written to it."""


def fetch(what: str, where: str, folder: Path, download: Callable[[], object]) -> None:
    """Runs a download into ``folder``. Raises UserError, with the files needed, where that fails or is off.

    Of a download that failed, no folder remains that was not there before, but for one with other files in it.
    """
    if not DOWNLOADS_ALLOWED.get():
        raise UserError(
            f"{what} is not in {folder}, and an existing run downloads nothing: "
            "ganexp data prepare downloads it, or add trust=true"
        )
    print(f"{what} is missing: downloading it", flush=True)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        download()
    except Exception as error:  # torchvision passes on all kinds of errors from its mirrors
        if missing:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in missing[1:]:
            with suppress(OSError):  # another download has put something there, or it was not made at all
                parent.rmdir()
        reason = str(error).strip().split("\n")[0].rstrip(":")
        raise UserError(
            f"{what} could not be fetched ({reason}): put {where}, or try data=digits, which needs nothing"
        ) from None


def load(source: "Source", *, own: bool) -> Arrays:
    """What training uses of the data set. It is downloaded only if the configuration is the user's ``own``.

    Raises UserError.
    """
    token = DOWNLOADS_ALLOWED.set(own)
    try:
        return source.for_training(source.load())
    finally:
        DOWNLOADS_ALLOWED.reset(token)
