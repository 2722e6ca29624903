"""A registry of somebody else's that wants a user and a password: it serves one image of an OCI layout."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PrivateRegistry:
    """Answers `GET /v2/REPOSITORY/…` to who knows the password, until it is closed."""

    def __init__(self, image, repository, user, password):
        expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        index = json.loads((image.directory / "index.json").read_text())
        tags = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry for entry in index["manifests"]}
        media_types = {entry["digest"]: entry["mediaType"] for entry in index["manifests"]}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                if self.headers.get("authorization") != expected:
                    self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"no basic auth credentials"}]}',
                                {"WWW-Authenticate": 'Basic realm="private"'})
                    return
                kind, name = self.path.removeprefix(f"/v2/{repository}/").split("/", 1)
                digest = tags[name]["digest"] if name in tags else name
                file = image.directory / "blobs/sha256" / digest.removeprefix("sha256:")
                if kind not in ("manifests", "blobs") or not file.is_file():
                    self.answer(404, b"{}", {})
                    return
                media_type = media_types.get(digest, "application/octet-stream")
                self.answer(200, file.read_bytes(), {"Content-Type": media_type, "Docker-Content-Digest": digest})

            do_HEAD = do_GET

            def answer(self, status, body, headers):
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"127.0.0.1:{self.server.server_address[1]}/{repository}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
