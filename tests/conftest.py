"""What every client and container test stands on: a running Outport, its clients, an image.

The binary under test is named by OUTPORT_BINARY; `cargo xtask test` builds and names it.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# Nobody waits 40 seconds for each step of a roll-out; who tests those says so.
os.environ.setdefault("OUTPORT_TASK_HEALTHY_AFTER", "1")

from support.app_image import AppImage  # noqa: E402
from support.outport import Outport  # noqa: E402


def pytest_configure():
    """SIGTERM ends the run as Ctrl-C does: the fixtures clean up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def binary():
    path = os.environ.get("OUTPORT_BINARY")
    assert path, "OUTPORT_BINARY names the binary under test; run `cargo xtask test`"
    return Path(path).resolve()


@pytest.fixture(scope="session")
def app_image(tmp_path_factory):
    """An OCI layout with tags 1.0 and 2.0 of a busybox web server."""
    return AppImage(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def shared_outport(binary, tmp_path_factory, app_image):
    """One `outport up` for all tests that do not stop it; nothing may be left when it ends."""
    outport = Outport(binary, tmp_path_factory.mktemp("shared"))
    outport.start()
    outport.push(app_image, "app", "1.0", "2.0")
    yield outport
    outport.stop()
    outport.assert_nothing_left()


@pytest.fixture
def outport(binary, tmp_path):
    """An `outport up` of the test's own, not started yet."""
    outport = Outport(binary, tmp_path)
    yield outport
    outport.destroy()
