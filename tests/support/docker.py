"""A Docker engine of the tests' own, where one can run: the host's is not touched."""

import contextlib
import shutil
import subprocess
from pathlib import Path

from support.wait import until

START_PATIENCE_S = 90
ATTEMPTS = 3
# Where two engines start at once on a busy machine, one of them gives its containerd up.
CONTAINERD_IS_LATE = "timeout waiting for containerd to start"


class Docker:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.host = f"unix://{self.directory}/docker.sock"
        self.log_path = self.directory / "dockerd.log"
        self.engine = None

    def start(self):
        """Why it does not run here, or None."""
        if not shutil.which("dockerd"):
            return "dockerd is not installed"
        for _ in range(ATTEMPTS):
            reason = self._start_once()
            if reason is None or CONTAINERD_IS_LATE not in reason:
                break
        return reason

    def _start_once(self):
        with self.log_path.open("wb") as log:
            self.engine = subprocess.Popen(
                ["dockerd", "--host", self.host, "--data-root", self.directory / "data",
                 "--exec-root", self.directory / "run", "--pidfile", self.directory / "pid",
                 "--bridge=none", "--iptables=false", "--ip6tables=false"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            until(self._answers, "dockerd answers", START_PATIENCE_S)
        except AssertionError as reason:
            lines = self.log_path.read_text(errors="replace").strip().splitlines()
            return f"dockerd does not run here: {reason}: {lines[-1] if lines else ''}"
        return None

    def _answers(self):
        assert self.engine.poll() is None, "it ended"
        return self.run("info", check=False).returncode == 0

    def run(self, *arguments, check=True, **options):
        config = self.directory / "config"
        done = subprocess.run(["docker", "--config", config, "--host", self.host, *arguments],
                              capture_output=True, text=True, timeout=120, **options)
        assert not check or done.returncode == 0, f"docker {arguments}: {done.stderr}"
        return done

    def stop(self):
        if self.engine and self.engine.poll() is None:
            self.engine.terminate()
            try:
                self.engine.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.engine.kill()
                self.engine.wait()
        # What an engine leaves mounted when it ends: namespaces, shared memory.
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for place in reversed([m for m in mounts if m.startswith(f"{self.directory}/")]):
            with contextlib.suppress(subprocess.CalledProcessError):
                subprocess.run(["umount", place], check=True)
