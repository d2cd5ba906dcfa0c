"""A Hub on loopback, over real HTTP: all that `huggingface_hub` asks for datasets.

It keeps datasets, commits and LFS objects in memory, names a commit by a digest of all
it holds, and answers as the Hub does where something is missing or forbidden (status
and ``X-Error-Code``).
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKENS = {"hf_ada_writes": ("ada", "write"), "hf_ada_reads": ("ada", "read")}


class Hub:
    """Datasets by name, each a dictionary.

    ``{"private", "refs": {"main": commit}, "commits": {commit: {path: bytes}}}``
    """

    def __init__(self, lfs=()):
        self.datasets = {}
        self.objects = {}
        self.calls = []
        self.lfs = tuple(lfs)
        self.broken = None
        self.lock = threading.Lock()

    def commit(self, name, files, branch="main", private=False):
        """A commit made behind the client's back; its id."""
        data = self.datasets.setdefault(
            name, {"private": private, "refs": {}, "commits": {}}
        )
        parent = data["refs"].get(branch, "")
        parts = [
            parent.encode(),
            *(part for path in sorted(files) for part in (path.encode(), files[path])),
        ]
        sha = hashlib.sha1(b"\0".join(parts)).hexdigest()
        data["commits"][sha], data["refs"][branch] = dict(files), sha
        return sha

    def head(self, name):
        """The files of a dataset's newest commit."""
        data = self.datasets[name]
        return data["commits"][data["refs"]["main"]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = None

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def handle_any(self):
        path, content = unquote(urlsplit(self.path).path), self.body()
        user, role = TOKENS.get(
            self.headers.get("Authorization", "").removeprefix("Bearer "), (None, None)
        )
        with self.hub.lock:
            self.hub.calls.append((self.command, path))
            if self.hub.broken:
                return self.answer(self.hub.broken, {"error": "broken"})
            for pattern, methods, function in ROUTES:
                if self.command in methods and (found := re.fullmatch(pattern, path)):
                    return function(self, user, role, content, **found.groupdict())
        return self.answer(404, {"error": f"no route {self.command} {path}"})

    def do_GET(self):
        self.handle_any()

    def do_HEAD(self):
        self.handle_any()

    def do_POST(self):
        self.handle_any()

    def do_PUT(self):
        self.handle_any()

    def dataset(self, user, name):
        """The dataset, if it is there and this user may see it."""
        data = self.hub.datasets.get(name)
        if data is None or (data["private"] and user != name.split("/")[0]):
            self.answer(
                404 if user else 401,
                {"error": "Repository not found"},
                X_Error_Code="RepoNotFound",
                X_Error_Message="Repository not found",
            )
            return None
        return data

    def resolved(self, data, revision):
        sha = data["refs"].get(revision, revision)
        if sha not in data["commits"]:
            self.answer(
                404,
                {"error": "Invalid rev id"},
                X_Error_Code="RevisionNotFound",
                X_Error_Message="Invalid rev id",
            )
            return None
        return sha

    def may_write(self, user, role, name):
        if user is None:
            return self.answer(
                401,
                {"error": "Invalid credentials in Authorization header"},
                X_Error_Message="Invalid credentials in Authorization header",
            )
        if role != "write" or user != name.split("/")[0]:
            return self.answer(403, {"error": "Forbidden"})
        return True

    def whoami(self, user, role, content):
        if user:
            self.answer(200, {"name": user, "auth": {"accessToken": {"role": role}}})
        else:
            self.answer(401, {"error": "Invalid"})

    def create(self, user, role, content):
        asked = json.loads(content)
        name = f"{asked.get('organization') or user}/{asked['name']}"
        if self.may_write(user, role, name) is not True:
            return None
        if name in self.hub.datasets:
            return self.answer(
                409,
                {
                    "error": "You already created this dataset repo",
                    "url": f"/datasets/{name}",
                },
            )
        self.hub.commit(
            name,
            {".gitattributes": b"*.parquet filter=lfs\n"},
            private=asked.get("visibility") == "private" or bool(asked.get("private")),
        )
        self.answer(
            200, {"url": f"http://{self.headers['Host']}/datasets/{name}", "name": name}
        )
        return None

    def info(self, user, role, content, name, revision="main"):
        if (data := self.dataset(user, name)) and (
            sha := self.resolved(data, revision)
        ):
            files = data["commits"][sha]
            tags = re.findall(
                r"^- (\S+)$", files.get("README.md", b"").decode(), re.MULTILINE
            )
            self.answer(
                200,
                {
                    "id": name,
                    "sha": sha,
                    "private": data["private"],
                    "tags": tags,
                    "siblings": [{"rfilename": f} for f in files],
                },
            )

    def tree(self, user, role, content, name, revision):
        if (data := self.dataset(user, name)) and (
            sha := self.resolved(data, revision)
        ):
            files = [
                {
                    "type": "file",
                    "path": path,
                    "size": len(blob),
                    "oid": hashlib.sha1(blob).hexdigest(),
                }
                for path, blob in data["commits"][sha].items()
            ]
            self.answer(200, files)

    def validate(self, user, role, content):
        import yaml

        asked = json.loads(content)["content"]
        try:
            head = yaml.safe_load(asked.split("---\n")[1])
            errors = (
                []
                if isinstance(head, dict) and isinstance(head.get("license"), str)
                else [{"message": '"license" must be a string'}]
            )
        except (yaml.YAMLError, IndexError) as error:
            errors = [{"message": str(error)}]
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, user, role, content, name, revision):
        if (
            (data := self.dataset(user, name))
            and self.may_write(user, role, name) is True
            and (sha := self.resolved(data, revision))
        ):
            there, files = data["commits"][sha], []
            for f in json.loads(content)["files"]:
                blob = there.get(f["path"])
                oid = (
                    hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest()
                    if blob is not None
                    else None
                )
                lfs = f["path"].endswith(self.hub.lfs) if self.hub.lfs else False
                files.append(
                    {
                        "path": f["path"],
                        "uploadMode": "lfs" if lfs else "regular",
                        "shouldIgnore": False,
                        "oid": None if lfs else oid,
                    }
                )
            self.answer(200, {"files": files})

    def batch(self, user, role, content, name):
        if self.may_write(user, role, name) is True:
            objects = [
                (
                    o
                    if o["oid"] in self.hub.objects
                    else o
                    | {
                        "actions": {
                            "upload": {
                                "href": f"http://{self.headers['Host']}/lfs/{o['oid']}"
                            }
                        }
                    }
                )
                for o in json.loads(content)["objects"]
            ]
            self.answer(
                200,
                {"transfer": "basic", "objects": objects},
                Content_Type="application/vnd.git-lfs+json",
            )

    def store(self, user, role, content, oid):
        if hashlib.sha256(content).hexdigest() != oid:
            return self.answer(400, {"error": "checksum"})
        self.hub.objects[oid] = content
        self.answer(200)
        return None

    def receive(self, user, role, content, name, revision):
        if (
            not (data := self.dataset(user, name))
            or self.may_write(user, role, name) is not True
            or not (sha := self.resolved(data, revision))
        ):
            return None
        files = dict(data["commits"][sha])
        for line in map(json.loads, content.splitlines()):
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit", sha) != sha:
                return self.answer(412, {"error": "A commit has happened since"})
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        oid = self.hub.commit(name, files, revision)
        self.answer(
            200,
            {
                "commitUrl": (
                    f"http://{self.headers['Host']}/datasets/{name}/commit/{oid}"
                ),
                "commitOid": oid,
                "success": True,
            },
        )
        return None

    def resolve(self, user, role, content, name, revision, path):
        if (data := self.dataset(user, name)) and (
            sha := self.resolved(data, revision)
        ):
            blob = data["commits"][sha].get(path)
            if blob is None:
                return self.answer(
                    404,
                    X_Error_Code="EntryNotFound",
                    X_Error_Message="Entry not found",
                    X_Repo_Commit=sha,
                )
            self.answer(
                200, blob, ETag=f'"{hashlib.sha1(blob).hexdigest()}"', X_Repo_Commit=sha
            )
        return None


_NAME = r"(?P<name>[^/]+/[^/]+?)"
ROUTES = [
    (r"/api/whoami-v2", ("GET",), Handler.whoami),
    (r"/api/repos/create", ("POST",), Handler.create),
    (r"/api/validate-yaml", ("POST",), Handler.validate),
    (rf"/api/datasets/{_NAME}", ("GET",), Handler.info),
    (rf"/api/datasets/{_NAME}/revision/(?P<revision>.+)", ("GET",), Handler.info),
    (rf"/api/datasets/{_NAME}/tree/(?P<revision>.+)", ("GET",), Handler.tree),
    (
        rf"/api/datasets/{_NAME}/preupload/(?P<revision>.+)",
        ("POST",),
        Handler.preupload,
    ),
    (rf"/api/datasets/{_NAME}/commit/(?P<revision>.+)", ("POST",), Handler.receive),
    (rf"/datasets/{_NAME}\.git/info/lfs/objects/batch", ("POST",), Handler.batch),
    (r"/lfs/(?P<oid>[0-9a-f]{64})", ("PUT",), Handler.store),
    (
        rf"/datasets/{_NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
        ("GET", "HEAD"),
        Handler.resolve,
    ),
]


@contextmanager
def running(**options):
    """A Hub that answers for as long as the block runs: (Hub, address)."""
    hub = Hub(**options)
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub})
    )
    server.daemon_threads = True
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
