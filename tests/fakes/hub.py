"""A hub on this machine: what the real client asks of one when it pushes, over HTTP; it keeps what it is sent.

Source: the client's own requests (huggingface_hub, ``hf_api.py`` and ``lfs.py``); https://huggingface.co/docs/hub/api.
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_secret_of_the_test"
_LARGE = (".parquet", ".safetensors", ".gguf")
_ROUTES = (
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("GET", r"/api/(?P<kind>\w+)s/(?P<repo>[^/]+/[^/]+)", "info"),
    ("POST", r"/api/(?P<kind>\w+)s/(?P<repo>[^/]+/[^/]+)/preupload/main", "modes"),
    ("POST", r"/api/(?P<kind>\w+)s/(?P<repo>[^/]+/[^/]+)/commit/main", "commit"),
    ("POST", r"/(datasets/)?[^/]+/[^/]+\.git/info/lfs/objects/batch", "batch"),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "store"),
)


class Hub:
    """``with Hub("token") as hub:`` serves at ``hub.url``.

    ``repos``: (kind, name) → whether it is private, and its files; ``asked``: method, path, headers and body of every
    request. ``refusing``: name of a route → the status that it answers with instead.
    """

    def __init__(self, token: str) -> None:
        self.token = token
        self.repos: dict[tuple[str, str], dict[str, Any]] = {}
        self.large: dict[str, bytes] = {}
        self.commits: list[list[Any]] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.refusing: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.hub = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Hub":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def files(self, kind: str, name: str) -> dict[str, bytes]:
        """What a repository holds."""
        return self.repos[kind, name]["files"]

    def create(self, asked: Any) -> tuple[int, Any]:
        key = asked["type"], f"{asked['organization']}/{asked['name']}"
        url = f"{self.url}/{'datasets/' if key[0] == 'dataset' else ''}{key[1]}"
        if key in self.repos:
            return 409, {"error": "You already created this repo", "url": url}
        self.repos[key] = {"private": asked["visibility"] == "private", "files": {}}
        return 200, {"url": url}

    def validate(self, asked: Any) -> tuple[int, Any]:
        assert asked["content"].startswith("---\n")
        return 200, {"warnings": [{"message": 'empty or missing "license"'}], "errors": []}

    def info(self, asked: Any, kind: str, repo: str) -> tuple[int, Any]:
        found = self.repos.get((kind, repo))
        if found is None:
            return 404, {"error": "Repository not found"}
        siblings = [{"rfilename": name} for name in found["files"]]
        return 200, {"id": repo, "sha": "0" * 40, "private": found["private"], "siblings": siblings, "tags": []}

    def modes(self, asked: Any, kind: str, repo: str) -> tuple[int, Any]:
        modes = [
            {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(_LARGE) else "regular"}
            for one in asked["files"]
        ]
        return 200, {"files": [{**one, "shouldIgnore": False} for one in modes]}

    def batch(self, asked: Any) -> tuple[int, Any]:
        objects = []
        for one in asked["objects"]:
            to = {"upload": {"href": f"{self.url}/lfs/{one['oid']}"}}
            objects.append({**one} if one["oid"] in self.large else {**one, "actions": to})
        return 200, {"transfer": "basic", "objects": objects}

    def store(self, body: bytes, oid: str) -> tuple[int, Any]:
        if hashlib.sha256(body).hexdigest() != oid:
            return 400, {"error": "other bytes than were announced"}
        self.large[oid] = body
        return 200, {}

    def commit(self, lines: list[Any], kind: str, repo: str) -> tuple[int, Any]:
        files = self.files(kind, repo)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.commits.append(lines)
        oid = f"{len(self.commits):040x}"
        return 200, {"commitUrl": f"{self.url}/{repo}/commit/{oid}", "commitOid": oid}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""

    def _answer(self) -> None:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        body = self._body()
        hub.asked.append((self.command, self.path, dict(self.headers), body))
        asked = f"{self.command} {self.path}"
        routes = ((re.fullmatch(f"{method} {pattern}", asked), name) for method, pattern, name in _ROUTES)
        found, name = next(((found, name) for found, name in routes if found), (None, ""))
        if found is None:
            return self._say(404, {"error": "no such address"})
        if name in hub.refusing:
            return self._say(hub.refusing[name], {"error": "refused"})
        if name != "store" and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self._say(401, {"error": "Invalid credentials in Authorization header"})
        told: Any = body
        if name == "commit":
            told = [json.loads(line) for line in body.splitlines()]
        elif name != "store":
            told = json.loads(body) if body else None
        return self._say(*getattr(hub, name)(told, **found.groupdict()))

    do_GET = do_POST = do_PUT = _answer

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _say(self, status: int, told: Any) -> None:
        answer = json.dumps(told).encode()
        self.send_response(status)
        if status == 401:
            self.send_header("X-Error-Message", "Invalid credentials in Authorization header")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
