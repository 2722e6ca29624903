"""`outport server` and `outport node` of one test, as two processes."""

import subprocess
import urllib.error
import urllib.request

from support.wait import until


class Halves:
    """A server and a node of one test, each with its data directory and its log."""

    def __init__(self, outport):
        self.outport = outport
        self.node_dir = outport.directory / "node"
        self.running = {}

    def server(self):
        self._run("server", "--data-dir", self.outport.data_dir, "--listen",
                  f"127.0.0.1:{self.outport.port}", "--default-vpc-cidr", self.outport.vpc_cidr)
        until(self._is_healthy, "the server answers", 90)

    def node(self, join_token_file=None, wait=True, port=None, options=()):
        ready_before = self.log("node").count("outport node is ready")
        token = join_token_file or self.outport.data_dir / "join-token"
        process = self._run("node", "--data-dir", self.node_dir, "--server",
                            f"https://127.0.0.1:{port or self.outport.port}",
                            "--join-token-file", token, *options)
        if wait:
            until(lambda: self.log("node").count("outport node is ready") > ready_before,
                  "the node is ready", 90)
        return process

    def _run(self, half, *options):
        with self.log_path(half).open("ab") as log:
            self.running[half] = subprocess.Popen(
                [self.outport.binary, half, *options], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)
        return self.running[half]

    def _is_healthy(self):
        assert self.running["server"].poll() is None, self.log("server")
        try:
            with urllib.request.urlopen(f"{self.outport.url}/_outport/health") as answer:
                return answer.status == 200
        except urllib.error.URLError:
            return False

    def terminate(self, half):
        self.running[half].terminate()
        assert self.running[half].wait(timeout=90) == 0, self.log(half)

    def kill(self, half):
        self.running[half].kill()
        self.running[half].wait()

    def log_path(self, half):
        return self.outport.directory / f"{half}.log"

    def log(self, half):
        path = self.log_path(half)
        return path.read_text(errors="replace") if path.exists() else ""

    def destroy(self):
        for half, process in self.running.items():
            if process.poll() is None:
                self.kill(half)
        for directory in (self.node_dir, self.outport.data_dir):
            if (directory / "instance").exists():
                subprocess.run([self.outport.binary, "cleanup", "--data-dir", directory],
                               check=True, capture_output=True)
