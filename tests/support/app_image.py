"""A small image, built here from Debian's static busybox: no image of the internet is needed."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
APPLETS = ["sh", "cat", "echo", "env", "httpd", "id", "kill", "ls", "mkdir", "nc", "nproc", "ping",
           "ps", "seq", "sleep", "stat", "test", "touch", "trap", "true", "false", "wget", "dd",
           "head", "hostname", "ip", "mount", "nslookup", "od", "printf", "tail", "tr", "ulimit",
           "wc", "yes", "grep", "awk", "date", "readlink"]


class AppImage:
    """An OCI layout directory; each tag serves a page that names the tag."""

    def __init__(self, directory, tags=("1.0", "2.0"), architecture="amd64"):
        self.directory = Path(directory)
        self.architecture = architecture
        (self.directory / "blobs/sha256").mkdir(parents=True)
        (self.directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        base = self._layer(self._base_files())
        manifests = [self._image(tag, base) for tag in tags]
        self._write("index.json", {"schemaVersion": 2, "manifests": manifests})

    def _base_files(self):
        files = {"bin/busybox": (BUSYBOX.read_bytes(), 0o755)}
        files.update({f"bin/{name}": "/bin/busybox" for name in APPLETS})
        files["etc/passwd"] = (b"root:x:0:0:root:/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n", 0o644)
        files["etc/group"] = (b"root:x:0:\napp:x:1000:\n", 0o644)
        files.update({"tmp/": 0o1777, "dev/": 0o755, "proc/": 0o755, "sys/": 0o755})
        return files

    def _layer(self, files):
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name.rstrip("/"))
                if isinstance(content, int):
                    entry.type, entry.mode = tarfile.DIRTYPE, content
                    tar.addfile(entry)
                elif isinstance(content, str):
                    entry.type, entry.linkname = tarfile.SYMTYPE, content
                    tar.addfile(entry)
                else:
                    entry.size, entry.mode = len(content[0]), content[1]
                    tar.addfile(entry, io.BytesIO(content[0]))
        packed = gzip.compress(raw.getvalue(), mtime=0)
        return {
            "diff_id": "sha256:" + hashlib.sha256(raw.getvalue()).hexdigest(),
            "descriptor": self._blob("application/vnd.oci.image.layer.v1.tar+gzip", packed),
        }

    def _image(self, tag, base):
        page = self._layer({"www/index.html": (f"hello from app {tag}\n".encode(), 0o644)})
        command = ("echo app %s is starting; "
                   "trap 'echo stopping; exit 0' TERM; "
                   "httpd -f -p 8000 -h /www & wait") % tag
        config = {
            "architecture": self.architecture,
            "os": "linux",
            "config": {
                "Env": ["PATH=/bin", f"APP_VERSION={tag}"],
                "Cmd": ["/bin/sh", "-c", command],
                "ExposedPorts": {"8000/tcp": {}},
            },
            "rootfs": {"type": "layers", "diff_ids": [base["diff_id"], page["diff_id"]]},
        }
        config = self._blob("application/vnd.oci.image.config.v1+json", json.dumps(config).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": [base["descriptor"], page["descriptor"]],
        }
        descriptor = self._blob(manifest["mediaType"], json.dumps(manifest).encode())
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": tag}
        return descriptor

    def _blob(self, media_type, content):
        digest = hashlib.sha256(content).hexdigest()
        (self.directory / "blobs/sha256" / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def _write(self, name, document):
        (self.directory / name).write_text(json.dumps(document))


if __name__ == "__main__":
    import sys

    AppImage(sys.argv[1])
