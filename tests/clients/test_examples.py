"""What stands in `examples/` works as it is."""

import json
import os
import subprocess
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_first_task(outport, app_image, tmp_path):
    outport.start()
    env = {**os.environ, **outport.env(), "AWS_PAGER": "",
           "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
           "PATH": f"{outport.binary.parent}:{os.environ['PATH']}"}
    done = subprocess.run([EXAMPLES / "first-task/run.sh", f"oci:{app_image.directory}:1.0"],
                          env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{outport.log()[-3000:]}"
    assert "is starting" in done.stdout, done.stdout
    rows = json.loads(subprocess.run(
        [outport.binary, "ps", "--json"], env=env, check=True, capture_output=True, text=True,
        timeout=60).stdout)
    assert sorted(row["group"] for row in rows) == ["app", "app", "app", "family:app"]
    urls = {url for row in rows for url in row["ports"]}
    assert len(urls) == 4 and all(url.startswith("http://127.0.0.1:") for url in urls), urls
    opened = set(done.stdout.splitlines()) & urls
    assert len(opened) == 1, done.stdout


def test_tests_with_an_outport_of_their_own(binary, tmp_path):
    pytest = ["pytest", "-q", "-p", "no:cacheprovider", "--basetemp", tmp_path / "tests"]
    done = subprocess.run([binary, "run", "--", *pytest, EXAMPLES / "pytest"], text=True,
                          capture_output=True, timeout=120,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
