"""Exceptions for what a user can fix; every other exception is a bug and keeps its traceback."""

import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NoReturn


class UserError(Exception):
    """A mistake in the input. Its text is one line that says what is wrong and what to do."""

    status = 2


class Diverged(UserError):
    """The sentinel ends the run, for example because a scalar is no longer finite."""

    status = 1


class Unwritable(UserError):
    """The disk is full or gone; checkpoints saved before are still valid."""

    status = 1


class Gone(Unwritable):
    """The run folder was removed, moved or replaced during the run."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text; the name of its type where the text is empty."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def suggest(word: str, choices: Iterable[str]) -> str:
    """A hint such as ``did you mean wgan? (gan, lsgan, wgan)``; empty if there are no choices.

    It stands behind ``; `` or ``: ``. Where no choice is similar, it is ``there are gan, lsgan, wgan``.
    """
    known = sorted(choices)
    if not known:
        return ""
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    listed = ", ".join(known)
    if near:
        return f"did you mean {near[0]}? ({listed})"
    return f"there are {listed}" if len(known) > 1 else f"there is only {listed}"


def readable(text: str) -> str:
    """``text`` with U+FFFD in place of every control character, including line breaks."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def readable_lines(text: str) -> str:
    """``readable`` for each line of a text whose line breaks are the program's own and are kept."""
    return "\n".join(map(readable, text.split("\n")))


def print_to_stderr(line: object) -> None:
    """Prints one line to stderr."""
    print(readable(f"ganexp: {line}"), file=sys.stderr)


def fail(line: object, status: int = UserError.status) -> NoReturn:
    """Prints one line to stderr and exits with ``status``."""
    print_to_stderr(line)
    sys.exit(status)
