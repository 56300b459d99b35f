"""Shows a picture in a terminal that can: by Kitty's or iTerm2's protocol, or in Sixel.

The terminal is asked, and its answer decides; one that does not answer, and anything that is no terminal, gets
nothing. Sources: https://sw.kovidgoyal.net/kitty/graphics-protocol, https://iterm2.com/documentation-images.html,
the VT340's manual (DEC 1988) for Sixel, and xterm's ``ctlseqs`` for the questions (XTVERSION and DA1).
"""

import base64
import io
import os
import select
import sys
import time
from typing import Literal

import numpy as np
from PIL import Image

Protocol = Literal["kitty", "iterm", "sixel"]

_PIECE = 4096
"""Kitty takes base64 in pieces of at most so many bytes."""

_COLOURS = 64
"""The palette of a Sixel picture; the VT340 has 16, terminals of today 256 or more."""

_QUESTION = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[>q\x1b[c"
"""Kitty's graphics query, the terminal's name and version (XTVERSION), and its attributes (DA1).

Every terminal answers the last one, so that nothing has to wait for the answers that do not come.
"""


def show(picture: Image.Image, seconds: float = 0.5) -> bool:
    """Prints a picture to the terminal, if it can show one. Returns whether it was printed."""
    if not _is_foreground():
        return False
    protocol = understood(_asked(seconds))
    if protocol is None:
        return False
    encode = {"kitty": kitty, "iterm": iterm, "sixel": sixel}[protocol]
    sys.stdout.write(encode(picture) + "\n")
    sys.stdout.flush()
    return True


def understood(answer: bytes) -> Protocol | None:
    """The protocol that a terminal's answer to the questions promises; None if there is none."""
    if b"\x1b_Gi=31;OK" in answer:
        return "kitty"
    if b"iTerm2" in answer or b"WezTerm" in answer:
        return "iterm"
    attributes = answer.rpartition(b"\x1b[?")[2].partition(b"c")[0].split(b";")
    return "sixel" if b"4" in attributes[1:] else None  # the first number is the terminal's class


def kitty(picture: Image.Image) -> str:
    """Kitty's graphics protocol: a PNG in pieces of base64."""
    data = base64.standard_b64encode(_png(picture)).decode()
    pieces = [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]
    lines = []
    for number, piece in enumerate(pieces):
        first = "a=T,f=100," if number == 0 else ""
        lines.append(f"\x1b_G{first}m={int(number < len(pieces) - 1)};{piece}\x1b\\")
    return "".join(lines)


def iterm(picture: Image.Image) -> str:
    """iTerm2's inline images, which WezTerm has too: a PNG in base64."""
    png = _png(picture)
    return f"\x1b]1337;File=inline=1;size={len(png)}:{base64.standard_b64encode(png).decode()}\x07"


def sixel(picture: Image.Image) -> str:
    """Sixel: bands of six rows; for each colour of a band a row of characters, bit n for the n-th row."""
    reduced = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    palette = (reduced.getpalette() or [])[: 3 * _COLOURS]
    pixels = np.asarray(reduced)
    height, width = pixels.shape
    parts = [f'\x1bPq"1;1;{width};{height}']
    for colour in range(len(palette) // 3):
        red, green, blue = (round(value * 100 / 255) for value in palette[3 * colour : 3 * colour + 3])
        parts.append(f"#{colour};2;{red};{green};{blue}")
    for top in range(0, height, 6):
        band = pixels[top : top + 6]
        bits = (1 << np.arange(len(band)))[:, None]
        rows = [f"#{colour}{_repeated(((band == colour) * bits).sum(0))}" for colour in np.unique(band)]
        parts.append("$".join(rows) + "-")
    return "".join(parts) + "\x1b\\"


def _repeated(values: np.ndarray) -> str:
    """Sixel characters of values 0 to 63; a run of more than three equal ones is written ``!count``."""
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    lengths = np.diff(starts, append=len(values))
    pairs = ((chr(63 + int(values[start])), int(length)) for start, length in zip(starts, lengths, strict=True))
    return "".join(f"!{length}{char}" if length > 3 else char * length for char, length in pairs)


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _is_foreground() -> bool:
    """Whether this process may talk to its terminal; one in the background would be stopped by the kernel."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.name != "posix":
        return False
    if os.environ.get("TERM") == "dumb":
        return False  # Emacs's shell would print the questions
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return False


def _asked(seconds: float) -> bytes:
    """The terminal's answer to the questions; as much as came within the time."""
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    answer = b""
    try:
        tty.setcbreak(keyboard, termios.TCSANOW)  # no echo, and no waiting for the end of a line
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), _QUESTION)
        end = time.monotonic() + seconds
        while b"\x1b[?" not in answer or not answer.endswith(b"c"):
            if not select.select([keyboard], [], [], max(0.0, end - time.monotonic()))[0]:
                break
            answer += os.read(keyboard, 1024)
    except OSError:
        return b""
    finally:
        termios.tcsetattr(keyboard, termios.TCSANOW, before)
    return answer
