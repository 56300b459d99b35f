"""Who may ask the server of ``ganexp play``: by a token, from this machine, for no file of it."""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ganexp.cli.composing import composed
from ganexp.cli.play import page_of
from ganexp.play.guard import Guard, Message, Receive, Scope, Send
from ganexp.play.server import gradio_app, silence_gradio

PORT, SECRET = 7999, "a-token"
HERE = f"127.0.0.1:{PORT}"
COOKIE = f"ganexp_play_{PORT}={SECRET}"
OWN = {"host": HERE, "cookie": COOKIE}


async def _anything(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers everything."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"referrer-policy", b"unsafe-url")]})
    await send({"type": "http.response.body", "body": b"secret"})


def answer(
    app: Any,
    path: str = "/",
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    *,
    query: str = "",
    kind: str = "http",
    method: str = "GET",
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body; of a websocket 101 where it is accepted, and 403 where it is not."""
    sent: list[Message] = []
    pairs: list[tuple[str, str]] = list(headers.items() if isinstance(headers, dict) else headers or [])
    scope: dict[str, Any] = {
        **{"type": kind, "http_version": "1.1", "scheme": "http", "root_path": "", "client": ("127.0.0.1", 1)},
        **{
            "server": ("127.0.0.1", PORT),
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
        },
        "headers": [(key.encode(), value.encode("latin-1")) for key, value in pairs],
    }
    scope["method" if kind == "http" else "subprotocols"] = method if kind == "http" else []
    first: Message = {"type": "http.request", "body": b""}
    asked_for = iter([first if kind == "http" else {"type": "websocket.connect"}])

    async def receive() -> Message:
        found = next(asked_for, None)
        if found is None:
            await asyncio.sleep(60)
        return found or {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    if kind == "websocket":
        return (101 if sent[0]["type"] == "websocket.accept" else 403), {}, b""
    found = {key.decode().lower(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(part.get("body", b"") for part in sent[1:])


GUARD = Guard(_anything, SECRET, PORT)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_who_may_ask(kind: str) -> None:
    accepted = 200 if kind == "http" else 101
    good: list[dict[str, str]] = [
        OWN,
        OWN | {"host": f"localhost:{PORT}"},
        OWN | {"origin": f"http://{HERE}"},
        OWN | {"cookie": f"other=1; {COOKIE}; more=2"},
    ]
    bad: list[dict[str, str]] = [
        {"host": HERE},
        {"host": HERE, "cookie": f"ganexp_play_{PORT}="},
        {"host": HERE, "cookie": f"ganexp_play_{PORT}={SECRET}x"},
        {"host": HERE, "cookie": f"ganexp_play_{PORT}=\xe9"},
        {"host": HERE, "cookie": f"ganexp_play_1={SECRET}"},
        {"host": HERE, "authorization": f"Bearer {SECRET}"},
        {"cookie": COOKIE},
        OWN | {"host": "127.0.0.1"},
        OWN | {"host": f"127.0.0.1:{PORT + 1}"},
        OWN | {"host": f"evil.example:{PORT}"},
        OWN | {"host": f"0.0.0.0:{PORT}"},
        OWN | {"origin": "null"},
        OWN | {"origin": "http://evil.example"},
        OWN | {"origin": f"https://{HERE}"},
        OWN | {"origin": f"http://localhost:{PORT}"},
        OWN | {"origin": f"http://127.0.0.1:{PORT + 1}"},
    ]
    for headers in good:
        assert answer(GUARD, "/any", headers, kind=kind)[0] == accepted, headers
    for headers in bad:
        status, _, body = answer(GUARD, "/any", headers, kind=kind)
        assert status == 403 and b"secret" not in body, headers
    twice = [("host", HERE), ("host", "evil.example"), ("cookie", COOKIE)]
    assert answer(GUARD, "/any", twice, kind=kind)[0] == 403


def test_a_proxy_is_not_believed() -> None:
    seen: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend(name for name, _ in scope["headers"])
        await _anything(scope, receive, send)

    answer(Guard(app, SECRET, PORT), "/", OWN | {"X-Forwarded-Host": "evil.example", "Forwarded": "host=e"})
    assert seen == [b"host", b"cookie"]


def test_the_url_with_the_token_sets_a_cookie() -> None:
    status, headers, body = answer(GUARD, "/", {"host": HERE}, query=f"a=1&token={SECRET}")
    assert status == 303 and headers["location"] == "/?a=1" and not body
    assert headers["set-cookie"] == f"{COOKIE}; Path=/; HttpOnly; SameSite=Strict"
    assert answer(GUARD, "/", {"host": HERE}, query=f"token={SECRET}")[1]["location"] == "/"
    for headers_, query, path in (
        ({"host": HERE}, "token=wrong", "/"),
        ({"host": HERE}, "token=", "/"),
        ({"host": HERE}, "token=%C3%A9%ff", "/"),
        ({"host": HERE}, f"token={SECRET}&token=wrong", "/"),
        ({"host": HERE}, f"token={SECRET}", "/config"),
        ({"host": f"evil.example:{PORT}"}, f"token={SECRET}", "/"),
        ({"host": HERE, "origin": "http://evil.example"}, f"token={SECRET}", "/"),
        (OWN, "token=wrong", "/"),
    ):
        status, headers, _ = answer(GUARD, path, headers_, query=query)
        assert status == 403 and "set-cookie" not in headers, (headers_, query, path)
    assert answer(GUARD, "/", {"host": HERE}, query=f"token={SECRET}", method="POST")[0] == 403
    assert answer(GUARD, "/", {"host": HERE}, query=f"token={SECRET}", kind="websocket")[0] == 403


def test_a_page_may_load_nothing_from_elsewhere() -> None:
    for headers in (OWN, {"host": HERE}):
        found = answer(GUARD, "/any", headers)[1]
        assert found["referrer-policy"] == "no-referrer", "the app's own is replaced"
        policy = dict(part.split(" ", 1) for part in found["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
        words = {word for value in policy.values() for word in value.split()}
        assert words <= {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("gradio")
    before = dict(os.environ)
    silence_gradio(str(tmp_path_factory.mktemp("uploads")))
    page = page_of(composed("play", ["data=ring", "device=cpu"])[0])()
    yield gradio_app(page, PORT)
    os.environ.clear()
    os.environ.update(before)


def _paths(app: Any) -> set[str]:
    """The path of each route, those of the mounted app too, with something in place of its parameters."""
    found: set[str] = set()
    for route in app.routes:
        inner = getattr(route, "original_router", route)  # FastAPI keeps an included router as it is
        if getattr(inner, "routes", None):
            found |= _paths(inner)
        found.add(re.sub(r"\{[^}]*\}", "x", getattr(route, "path", "/")) or "/")
    return found


def test_every_route_asks_for_the_token(app: Any) -> None:
    guarded, paths = Guard(app, SECRET, PORT), _paths(app)
    assert len(paths) > 40 and {"/config", "/gradio_api/queue/data", "/gradio_api/file=x", "/assets/x"} <= paths
    for path in sorted(paths):
        for method in ("GET", "POST", "HEAD", "OPTIONS"):
            for headers in (
                {"host": HERE},
                {"host": HERE, "cookie": f"ganexp_play_{PORT}=wrong"},
                OWN | {"host": "evil.example"},
                OWN | {"origin": "http://evil.example"},
            ):
                assert answer(guarded, path, headers, method=method)[0] == 403, (method, path, headers)
        assert answer(guarded, path, {"host": HERE}, kind="websocket")[0] == 403
    assert answer(guarded, "/config", OWN)[0] == 200 and answer(guarded, "/", OWN)[0] == 200


def test_no_file_of_the_machine_is_served(app: Any) -> None:
    guarded = Guard(app, SECRET, PORT)
    for file in ("/etc/passwd", str(Path(__file__)), "../../etc/passwd", "pyproject.toml", "conf/play.yaml"):
        for route in ("/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/", "/file="):
            status, _, body = answer(guarded, f"{route}{file}", OWN)
            assert status in (403, 404), (route, file, status)
            assert b"root:" not in body and b"def test" not in body and b"[project]" not in body


def test_what_is_served_names_no_folder_and_no_other_server(app: Any) -> None:
    guarded = Guard(app, SECRET, PORT)
    for path in ("/", "/config", "/gradio_api/info", "/theme.css"):
        body = answer(guarded, path, OWN)[2].decode()
        assert body and str(Path.home()) + "/" not in body and str(Path.cwd()) not in body, path
        loaded = re.findall(r"""(?:src|href)=["'](https?:)?//|url\(["']?(https?:)?//|@import""", body)
        assert not loaded, path
    config = json.loads(answer(guarded, "/config", OWN)[2])
    assert config["analytics_enabled"] is False and not config.get("is_space")
    font = re.search(r"--font: ([^;]*);", answer(guarded, "/theme.css", OWN)[2].decode())
    assert font is not None and set(re.split(r",\s*", font[1].replace("'", ""))) == {"system-ui", "sans-serif"}
