"""Pictures in the terminal: the encodings, and a terminal that is asked and answers."""

import base64
import io
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganexp.system.terminal_image import iterm, kitty, sixel, understood

KITTY = b"\x1b_Gi=31;OK\x1b\\\x1bP>|kitty(0.35.2)\x1b\\\x1b[?62;c"
ITERM = b"\x1bP>|iTerm2 3.5.0\x1b\\\x1b[?62;4c"
SIXEL = b"\x1bP>|XTerm(390)\x1b\\\x1b[?63;1;2;4;6;9c"
PLAIN = b"\x1b[?1;2c"


def picture(width: int = 23, height: int = 17) -> Image.Image:
    return Image.fromarray(np.arange(width * height, dtype=np.uint8).reshape(height, width) // 8 * 8)


@pytest.mark.parametrize(
    ("answer", "protocol"),
    [(KITTY, "kitty"), (ITERM, "iterm"), (SIXEL, "sixel"), (PLAIN, None), (b"", None), (b"\x1b[?4c", None)],
)
def test_answer_decides(answer: bytes, protocol: str | None) -> None:
    assert understood(answer) == protocol


def test_kitty_and_iterm_hold_the_png() -> None:
    large = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90), dtype=np.uint8))
    pieces = re.findall(r"\x1b_G(?:a=T,f=100,)?m=([01]);([^\x1b]*)\x1b\\", kitty(large))
    assert [more for more, _ in pieces] == ["1"] * (len(pieces) - 1) + ["0"]
    assert all(len(piece) <= 4096 for _, piece in pieces)
    for data in ("".join(piece for _, piece in pieces), iterm(large).partition(":")[2].rstrip("\x07")):
        shown = Image.open(io.BytesIO(base64.standard_b64decode(data)))
        assert np.array_equal(np.asarray(shown), np.asarray(large))


def test_sixel_decodes_to_the_picture() -> None:
    """A decoder of its own reads the pixels back; colours are rounded to percent."""
    shown = decoded(sixel(picture()))
    assert np.abs(shown - np.asarray(picture(), np.float64)).max() <= 255 / 200 + 0.5


def decoded(text: str) -> np.ndarray:
    """The grey values of a Sixel picture."""
    head = re.match(r'\x1bPq"1;1;(\d+);(\d+)', text)
    assert head
    width, height = map(int, head.groups())
    shown = np.full((height, width), np.nan)
    palette: dict[int, float] = {}
    row = column = colour = 0
    for token in re.findall(r"#\d+;2;\d+;\d+;\d+|#\d+|!\d+.|[$\-]|[?-~]", text[head.end() : -2]):
        if ";" in token:
            number, _, red, _, _ = map(int, token[1:].split(";"))
            palette[number] = red * 255 / 100
        elif token[0] == "#":
            colour = int(token[1:])
        elif token == "$":
            column = 0
        elif token == "-":
            row, column = row + 6, 0
        else:
            count = int(token[1:-1]) if token[0] == "!" else 1
            bits = ord(token[-1]) - 63
            for offset in range(6):
                if bits >> offset & 1:
                    shown[row + offset, column : column + count] = palette[colour]
            column += count
    return shown


SCRIPT = """
from PIL import Image
from ganexp.system.terminal_image import show
print("shown", show(Image.new("L", (12, 6), 200), seconds=2))
"""


def on_a_terminal(answer: bytes, tmp_path: Path, kind: str = "xterm") -> bytes:
    """What a program that shows a picture prints on a terminal that gives this answer."""
    ours, theirs = pty.openpty()
    printed = b""

    def terminal() -> None:
        nonlocal printed
        replied = False
        while True:
            try:
                printed += os.read(ours, 4096)
            except OSError:  # the program has ended
                return
            if not replied and b"\x1b[c" in printed:
                replied = True
                os.write(ours, answer)

    started = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import os; os.setsid(); import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{SCRIPT}",
        ],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env=os.environ | {"TERM": kind},
    )
    os.close(theirs)
    reader = threading.Thread(target=terminal)
    reader.start()
    assert started.wait(60) == 0
    reader.join(10)
    os.close(ours)
    return printed


@pytest.mark.parametrize(
    ("answer", "start"), [(KITTY, b"\x1b_Ga=T"), (ITERM, b"\x1b]1337"), (SIXEL, b"\x1bPq"), (PLAIN, None)]
)
def test_terminal_is_asked(answer: bytes, start: bytes | None, tmp_path: Path) -> None:
    printed = on_a_terminal(answer, tmp_path)
    assert (b"shown True" in printed) == (start is not None)
    assert start is None or start in printed
    assert b"?62;" not in printed  # the answer is not echoed


def test_dumb_terminal_is_never_asked(tmp_path: Path) -> None:
    assert on_a_terminal(KITTY, tmp_path, kind="dumb") == b"shown False\r\n"


def test_pipe_is_never_asked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, stdin=subprocess.DEVNULL, cwd=tmp_path
    )
    assert done.stdout == b"shown False\n"
