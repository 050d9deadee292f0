"""A Hugging Face Hub on this machine: the part of its HTTP API that huggingface_hub calls.

Repositories are in memory, each branch a list of commits. Writing needs the token `TOKEN`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_mine"
SHOWN = r"(?P<name>[\w.-]+/[\w.-]+)"
ROUTES = {
    ("POST", r"/api/repos/create"): "create",
    ("POST", r"/api/validate-yaml"): "validate",
    ("POST", rf"/api/models/{SHOWN}/branch/(?P<revision>[^/]+)"): "branch",
    ("POST", rf"/api/models/{SHOWN}/preupload/(?P<revision>[^/]+)"): "preupload",
    ("POST", rf"/api/models/{SHOWN}/commit/(?P<revision>[^/]+)"): "commit",
    ("POST", rf"/{SHOWN}\.git/info/lfs/objects/batch"): "batch",
    ("PUT", r"/lfs/(?P<oid>\w+)"): "store",
    ("GET", rf"/api/models/{SHOWN}(?:/revision/(?P<revision>[^/]+))?"): "info",
    ("GET", rf"/api/models/{SHOWN}/tree/(?P<revision>[^/]+)"): "tree",
    ("GET", rf"/{SHOWN}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"): "resolve",
}
Files = dict[str, bytes]


class Hub(ThreadingHTTPServer):
    """`repositories` maps name to branch to commit hash, `commits` a hash to its files; `sizes` are
    told instead of the true ones, by path; `requests` are those served; all get `only_answer` if it
    is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, str]] = {}
        self.private: set[str] = set()
        self.commits: dict[str, Files] = {}
        self.large: Files = {}
        self.sizes: dict[str, int] = {}
        self.requests: list[str] = []
        self.only_answer: bytes | None = None
        self.messages: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def files(self, name: str, revision: str = "main") -> Files:
        branches = self.repositories[name]
        return self.commits[branches.get(revision, revision)]

    def put(self, name: str, files: Files, revision: str = "main") -> None:
        """A commit made on the Hub's own page."""
        branches = self.repositories.setdefault(name, {})
        old = self.commits.get(branches.get(revision, ""), {})
        new = {**old, **files}
        text = repr((name, len(self.commits), sorted(new)))
        branches[revision] = hashlib.sha1(text.encode()).hexdigest()
        self.commits[branches[revision]] = new


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    with Hub() as hub:
        thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        self.dispatch("GET")

    def do_HEAD(self) -> None:
        self.dispatch("GET")

    def do_POST(self) -> None:
        self.dispatch("POST")

    def do_PUT(self) -> None:
        self.dispatch("PUT")

    def log_message(self, *_: object) -> None:
        pass

    def dispatch(self, method: str) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append(f"{self.command} {path}")
        if self.server.only_answer is not None:
            return self.answer(self.server.only_answer)
        for (wanted, pattern), action in ROUTES.items():
            match = re.fullmatch(pattern, path)
            if match and wanted == method:
                values = match.groupdict()
                name, revision = values.get("name"), values.get("revision") or "main"
                mine = self.headers.get("Authorization") == f"Bearer {TOKEN}"
                if name and (
                    name not in self.server.repositories
                    or (name in self.server.private and not mine)
                ):
                    return self.fail(404 if mine else 401, "RepoNotFound", "Repository not found")
                if method == "POST" and action != "validate" and not mine:
                    return self.fail(401, "", "Invalid username or password.")
                if name and action in ("info", "tree", "resolve"):
                    try:
                        values["files"] = self.server.files(name, revision)
                    except KeyError:
                        return self.fail(404, "RevisionNotFound", "Invalid rev id")
                return getattr(self, f"on_{action}")(**{**values, "revision": revision})
        return self.fail(404, "", f"no {method} {path}")

    def fail(self, status: int, code: str, message: str) -> None:
        self.answer({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message})

    def answer(self, data: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # --- writing ---------------------------------------------------------------------------

    def on_create(self, **_: Any) -> None:
        asked = json.loads(self.body)
        user = asked.get("organization") or "me"
        name = f"{user}/{asked['name']}"
        if user == "other":
            return self.fail(
                403, "", f'You don\'t have the rights to create a model under "{user}"'
            )
        if name in self.server.repositories:
            exists = {"error": "You already created this model repo", "url": self.url_of(name)}
            return self.answer(exists, 409)
        if asked.get("private") or asked.get("visibility") == "private":
            self.server.private.add(name)
        self.server.put(name, {".gitattributes": b"*.safetensors filter=lfs\n"})
        return self.answer({"url": self.url_of(name), "name": name})

    def url_of(self, name: str) -> str:
        return f"{self.server.url}/{name}"

    def on_validate(self, **_: Any) -> None:
        text = json.loads(self.body)["content"]
        errors = [] if "\nlicense: " in text else [{"message": "license is missing"}]
        self.answer({"errors": errors, "warnings": []}, 400 if errors else 200)

    def on_branch(self, name: str, revision: str) -> None:
        branches = self.server.repositories[name]
        if revision in branches:
            return self.fail(409, "", "Reference already exists")
        branches[revision] = branches["main"]
        return self.answer({})

    def on_preupload(self, name: str, revision: str) -> None:
        files = json.loads(self.body)["files"]
        for file in files:
            file["uploadMode"] = (
                "lfs" if file["path"].endswith((".safetensors", ".npz")) else "regular"
            )
            file["shouldIgnore"] = False
        self.answer({"files": files})

    def on_batch(self, name: str, revision: str) -> None:
        objects = json.loads(self.body)["objects"]
        for each in objects:
            if each["oid"] not in self.server.large:
                each["actions"] = {"upload": {"href": f"{self.server.url}/lfs/{each['oid']}"}}
        self.answer({"transfer": "basic", "objects": objects})

    def on_store(self, oid: str, **_: Any) -> None:
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.server.large[oid] = self.body
        self.answer(b"")

    def on_commit(self, name: str, revision: str) -> None:
        files: Files = {}
        for line in self.body.decode().splitlines():
            row = json.loads(line)
            value = row["value"]
            if row["key"] == "header":
                self.server.messages.append(value["summary"])
            elif row["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
        self.server.put(name, files, revision)
        commit = self.server.repositories[name][revision]
        url = f"{self.url_of(name)}/commit/{commit}"
        self.answer({"commitUrl": url, "commitOid": commit})

    # --- reading ---------------------------------------------------------------------------

    def on_info(self, name: str, revision: str, files: Files) -> None:
        commit = self.server.repositories[name].get(revision, revision)
        siblings = [{"rfilename": path} for path in files]
        self.answer({"id": name, "modelId": name, "sha": commit, "siblings": siblings})

    def on_tree(self, name: str, revision: str, files: Files) -> None:
        rows = [
            {
                "type": "file",
                "path": path,
                "size": self.server.sizes.get(path, len(data)),
                "oid": hashlib.sha1(data).hexdigest(),
            }
            for path, data in files.items()
        ]
        self.answer(rows)

    def on_resolve(self, name: str, revision: str, path: str, files: Files) -> None:
        if path not in files:
            return self.fail(404, "EntryNotFound", "Entry not found")
        commit = self.server.repositories[name].get(revision, revision)
        size = str(self.server.sizes.get(path, len(files[path])))
        headers = {
            "X-Repo-Commit": commit,
            "ETag": f'"{hashlib.sha256(files[path]).hexdigest()}"',
            "X-Linked-Size": size,
        }
        return self.answer(files[path], headers=headers)
