"""A stand-in of the few routes of the hub's API that pushing and pulling use, on this machine."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

COMMIT = "c" * 40


@dataclass
class Repository:
    private: bool = True
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Hub:
    """``bodies``: of all requests that write; ``unknown``: methods and paths that no route answered."""

    url: str = ""
    token: str = "hf_secret"
    repositories: dict[str, Repository] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


@contextmanager
def stand_in() -> Iterator[Hub]:
    """A hub on a free port of the loopback interface."""
    hub = Hub()

    class Handler(_Handler):
        stand_in = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    stand_in: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Prints nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            name = "/".join(parts[2:4])
            found = self.stand_in.repositories.get(name)
            if found is None or (found.private and not self._logged_in()):
                return self._json({"error": "not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            listed = [{"rfilename": path, "size": len(content)} for path, content in found.files.items()]
            if "tree" in parts:
                listed = [
                    {"type": "file", "path": path, "size": len(content), "oid": sha1(content).hexdigest()}
                    for path, content in found.files.items()
                ]
                return self._json(listed)
            return self._json({"id": name, "private": found.private, "sha": COMMIT, "siblings": listed})
        if len(parts) >= 5 and parts[2] == "resolve":
            found = self.stand_in.repositories.get("/".join(parts[:2]))
            content = found.files.get("/".join(parts[4:])) if found else None
            if content is None:
                return self._json({"error": "not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            etag = {"ETag": f'"{sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            return self._answer(content, 200, {**etag, "Content-Type": "application/octet-stream"})
        self.stand_in.unknown.append(f"GET {self.path}")
        return self._json({"error": "unknown"}, 404)

    def do_POST(self) -> None:
        body = self._body()
        self.stand_in.bodies.append(body)
        path = urlsplit(self.path).path
        if not self._logged_in():
            return self._json({"error": "unauthorised"}, 401)
        if path == "/api/repos/create":
            wanted = json.loads(body)
            owner = wanted.get("organization") or "me"
            name = f"{owner}/{wanted['name']}"
            private = wanted.get("private", wanted.get("visibility") == "private")
            if name in self.stand_in.repositories:
                return self._json({"error": "exists", "url": f"{self.stand_in.url}/{name}"}, 409)
            self.stand_in.repositories[name] = Repository(bool(private))
            return self._json({"url": f"{self.stand_in.url}/{name}"})
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        parts = path.strip("/").split("/")
        name = "/".join(parts[2:4])
        if "preupload" in parts:
            files = [{"path": one["path"], "uploadMode": "regular"} for one in json.loads(body)["files"]]
            return self._json({"files": [{**one, "shouldIgnore": False} for one in files]})
        if "commit" in parts:
            for line in map(json.loads, body.decode().splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    content = base64.b64decode(value["content"])
                    self.stand_in.repositories[name].files[value["path"]] = content
                elif line["key"] == "deletedFile":
                    del self.stand_in.repositories[name].files[line["value"]["path"]]
            url = f"{self.stand_in.url}/{name}/commit/{COMMIT}"
            return self._json({"success": True, "commitUrl": url, "commitOid": COMMIT})
        self.stand_in.unknown.append(f"POST {self.path}")
        return self._json({"error": "unknown"}, 404)

    def _logged_in(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.stand_in.token}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _json(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self._answer(body, status, {"Content-Type": "application/json", **(headers or {})})

    def _answer(self, body: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
