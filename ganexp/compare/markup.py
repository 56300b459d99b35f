"""Builds HTML; every text is escaped unless it is ``Markup``."""

import base64
import hashlib
import html
from pathlib import Path

from ganexp.errors import readable

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
"""Second line of defence against text from untrusted run folders: only our script runs, nothing is fetched."""

_VOID = ("img", "meta")


class Markup(str):
    """Text that is already HTML and is not escaped."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | int | float | None) -> Markup:
    """``tag("a", "text", class_="b", data_v=1)``. Children that are not ``Markup`` are escaped."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """The children concatenated; those that are not ``Markup`` are escaped."""
    return Markup("".join(child if isinstance(child, Markup) else escaped(child) for child in children))


def escaped(text: str) -> str:
    """Text escaped for HTML, with control characters replaced."""
    return html.escape(readable(text))


def document(title: str, *body: str) -> str:
    """A self-contained page with ``page.css`` and ``page.js`` embedded."""
    style, script = (
        Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY.format(digest=digest)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    page = tag("html", head, tag("body", *body, tag("script", Markup(script))), lang="en")
    return f"<!doctype html>\n{page}\n"
