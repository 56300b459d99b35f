"""Serves a page of Gradio on this machine's loopback address, behind a ``Guard``, until Ctrl-C.

Only functions import Gradio: it may be missing, and ``silence_gradio`` is called first.
"""

import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ganexp.errors import UserError
from ganexp.play.guard import HOST, TOKEN, Guard
from ganexp.system.terminal import print_lines

if TYPE_CHECKING:
    from gradio import Blocks

_LARGEST_FILE = "50mb"
"""Of an image that is uploaded."""

_SECONDS_TO_CLOSE = 1
"""How long open connections of pages are waited for at Ctrl-C."""


def silence_gradio(folder: str) -> None:
    """Tells Gradio to send nothing to anybody, and to keep what is uploaded in ``folder``.

    It reads the environment when it is imported, and when a page is built.
    """
    os.environ["GRADIO_TEMP_DIR"] = folder
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def serve(build_page: "Callable[[], Blocks]", port: int) -> None:
    """Serves a page until a signal; ``port``: 0 for a free one.

    Prints the URL, which is the only way in. It does not start a browser: other users of the machine could read
    the token in the list of processes. Raises UserError where the port is taken.
    """
    import uvicorn

    with _listening(port) as listener, TemporaryDirectory(prefix="ganexp_play_") as folder:
        silence_gradio(folder)
        port, token = listener.getsockname()[1], secrets.token_urlsafe(32)
        app = gradio_app(build_page(), port)
        settings = uvicorn.Config(
            Guard(app, token, port),
            log_level="warning",
            access_log=False,  # its lines would have the token
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_SECONDS_TO_CLOSE,
        )
        url = f"http://{HOST}:{port}/?{TOKEN}={token}"
        print_lines(f"{url}  (Ctrl-C ends it)")
        with suppress(KeyboardInterrupt):  # uvicorn raises it again once everything is closed
            _server(settings, app.routes[-1].app.stop_event.set).run(sockets=[listener])
        print_lines("ended")


def _server(settings: Any, end_streams: Callable[[], None]) -> Any:
    """A server that ends the open streams of pages when it is stopped, so that it need not cancel them."""
    import uvicorn

    class Server(uvicorn.Server):  # type: ignore[misc]
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            end_streams()
            await super().shutdown(sockets)

    return Server(settings)


def gradio_app(page: "Blocks", port: int) -> Any:
    """The ASGI application of a page, which is to be guarded. It serves no file that was not uploaded."""
    import gradio
    from fastapi import FastAPI

    return gradio.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        path="/",
        server_name=HOST,
        server_port=port,
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,  # messages of what is no UserError may have paths of this machine
        max_file_size=_LARGEST_FILE,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=_theme(),
        css=_CSS,
    )


def _theme() -> Any:
    """Fonts of the system only: Gradio's own themes bring theirs, some from other servers."""
    from gradio.themes import Base

    fonts = ("system-ui", "sans-serif")
    return Base(font=fonts, font_mono=("ui-monospace", "monospace"), primary_hue="blue", neutral_hue="slate")


_CSS = """
.runs { display: flex; flex-wrap: wrap; gap: 1rem; }
.runs figure { margin: 0; flex: 1 1 18rem; max-width: 40rem; }
.runs img { width: 100%; max-height: 85vh; object-fit: contain; object-position: left; }
.runs img { image-rendering: pixelated; }
#plane img { image-rendering: auto; }
@media (min-width: 900px) { #pictures { position: sticky; top: 1rem; } }
.runs figcaption { font-size: 0.85rem; padding: 0.3rem 0; overflow-wrap: anywhere; }
.told { border-left: 3px solid #b45309; padding: 0.3rem 0.6rem; }
.curves svg { width: 100%; height: auto; }
.modes { font-size: 1.1rem; }
footer { display: none !important; }
"""


def _listening(port: int) -> socket.socket:
    """A socket on the loopback address. Raises UserError where the port is taken or not allowed."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # so that a browser that is faster than the server waits
    except OSError as error:
        listener.close()
        raise UserError(f"port={port}: {error.strerror or error}: port=0 takes a free one") from None
    return listener
