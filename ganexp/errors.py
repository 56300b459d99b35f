"""The exceptions for what a user can mend; everything else is a defect and keeps its traceback."""

import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NoReturn


class UserError(Exception):
    """A mistake in the input. Its text is one line that names what was wrong and says what to do."""

    status = 2


class Diverged(UserError):
    """A scalar of the training is no longer a finite number."""

    status = 1


class Unwritable(UserError):
    """The disk is full or gone; what was saved before is still good."""

    status = 1


class Gone(Unwritable):
    """The run's folder was removed, moved or replaced while it was worked on."""


def first_line(error: BaseException) -> str:
    """An error's text without what follows its first line; its type where it has none."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def suggest(word: str, choices: Iterable[str]) -> str:
    """A hint such as ``did you mean wgan? (gan, lsgan, wgan)``; empty if there are no choices."""
    known = sorted(choices)
    if not known:
        return ""
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return (f"did you mean {near[0]}? " if near else "") + f"({', '.join(known)})"


def readable(text: str) -> str:
    """One line, with a mark in place of every control character, line breaks among them."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def readable_lines(text: str) -> str:
    """The same for text of several lines, each of our own making."""
    return "\n".join(map(readable, text.split("\n")))


def tell(line: object) -> None:
    """One line to whoever sits at the terminal."""
    print(readable(f"ganexp: {line}"), file=sys.stderr)


def fail(line: object, status: int = UserError.status) -> NoReturn:
    """Ends the process with one line."""
    tell(line)
    sys.exit(status)
