"""Fetching what torchvision knows how to fetch; it is imported only when something is missing."""

from collections.abc import Callable

from ganexp.errors import UserError


def fetch(what: str, where: str, download: Callable[[], object]) -> None:
    """Runs a download. Raises UserError that says which file belongs ``where``, if it cannot be had."""
    print(f"{what} is not here yet: fetching it", flush=True)
    try:
        download()
    except Exception as error:  # torchvision raises whatever its many mirrors raise
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{what} could not be fetched ({reason}): put {where}, or try data=digits, which needs nothing"
        ) from None
