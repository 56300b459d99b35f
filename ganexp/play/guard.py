"""Who may ask the playground's server for anything: an ASGI middleware in front of every route and websocket.

A request is answered if its ``Host`` is this machine's loopback address with the server's own port, its
``Origin`` is none or the same, and it has the cookie. The cookie is set once, by the URL with the token that is
printed. What a proxy would say of the host is dropped: Gradio would make addresses of it. So

- another user of the machine, who knows the port, has no token;
- a page of another site, open in the same browser, sends no cookie (``SameSite=Strict``) and has another
  origin;
- a name of another site that resolves to 127.0.0.1 (DNS rebinding) is another ``Host``.

A browser sends cookies to every port of a host. The cookie's name has the port, so that two playgrounds do not
overwrite each other's; but a server on another port of 127.0.0.1, opened in the same browser, is shown it.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HOST = "127.0.0.1"
"""The only address that is listened on."""

TOKEN = "token"
"""The key of the token in the URL that is printed."""

_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Gradio's own scripts need them
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        *["object-src 'none'", "base-uri 'self'", "form-action 'self'", "frame-ancestors 'none'"],
    ]
)
"""What a page may load: nothing from any other server, whatever a script of Gradio asks for."""

_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
]

_REFUSED = b"403: open the URL that ganexp play has printed, with its token\n"


class Guard:
    """Passes on to ``app`` what asks with the ``token`` at ``port`` of this machine; else it answers 403."""

    def __init__(self, app: App, token: str, port: int) -> None:
        self._app, self._token = app, token.encode()
        self._hosts = {f"{name}:{port}".encode() for name in (HOST, "localhost")}
        self._cookie = f"ganexp_play_{port}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        if scope["type"] not in ("http", "websocket") or not self._is_from_here(headers):
            await _refuse(scope, send)
            return
        given = _tokens_of(scope)
        if given:
            await self._enter(scope, given, send)
        elif self._has_cookie(headers):
            kept = [pair for pair in headers if not pair[0].lower().startswith((b"x-forwarded", b"forwarded"))]
            await self._app({**scope, "headers": kept}, receive, _with_headers(send))
        else:
            await _refuse(scope, send)

    def _is_from_here(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether ``Host`` is this server, and ``Origin``, if there is one, the same."""
        hosts, origins = (_values(headers, name) for name in (b"host", b"origin"))
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return False
        return all(origin == b"http://" + hosts[0] for origin in origins)

    def _has_cookie(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        pairs = [
            part.strip().partition(b"=") for line in _values(headers, b"cookie") for part in line.split(b";")
        ]
        own = [value for name, _, value in pairs if name == self._cookie]
        return any(secrets.compare_digest(value, self._token) for value in own)

    async def _enter(self, scope: Scope, given: list[bytes], send: Send) -> None:
        """Sets the cookie and leads to the same URL without the token; 403 for a wrong one."""
        right = len(given) == 1 and secrets.compare_digest(given[0], self._token)
        if (
            not right
            or scope["type"] != "http"
            or scope["method"] not in ("GET", "HEAD")
            or scope["path"] != "/"
        ):
            await _refuse(scope, send)
            return
        others = [pair for pair in _query(scope) if pair[0] != TOKEN]
        where = "/" + (f"?{urlencode(others)}" if others else "")
        cookie = b"%s=%s; Path=/; HttpOnly; SameSite=Strict" % (self._cookie, self._token)
        headers = [(b"location", where.encode()), (b"set-cookie", cookie), (b"cache-control", b"no-store")]
        await _answer(send, 303, headers, b"")


def _tokens_of(scope: Scope) -> list[bytes]:
    return [value.encode("utf-8", "surrogateescape") for key, value in _query(scope) if key == TOKEN]


def _query(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


def _with_headers(send: Send) -> Send:
    """Adds what browsers have to keep to, in place of what the app says of the same."""
    own = {name for name, _ in _HEADERS}

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in own]
            message = {**message, "headers": [*kept, *_HEADERS]}
        await send(message)

    return sent


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before it is accepted: 403
    else:
        await _answer(send, 403, [(b"content-type", b"text/plain; charset=utf-8")], _REFUSED)


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length, *_HEADERS]})
    await send({"type": "http.response.body", "body": body})
