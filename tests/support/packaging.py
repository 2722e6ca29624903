"""`cargo xtask package`, as a person would call it, as a rule without its build: it packages a program that is there."""

import hashlib
import os
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_S = 600


def package(binary, out, *options, check=True, env=None, umask=-1):
    """The files that it made, by what their names end with; of what it would build where no binary is named."""
    # `cargo xtask test` names itself: a cargo would look whether to build it anew.
    xtask = os.environ.get("OUTPORT_XTASK")
    chore = [xtask] if xtask else ["cargo", "run", "--quiet", "--package", "xtask", "--"]
    named = ["--binary", binary] if binary else []
    done = subprocess.run(
        [*chore, "package", *named, "--out", out, *options], cwd=REPOSITORY, capture_output=True, text=True, timeout=PATIENCE_S,
        umask=umask, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000", **(env or {})})
    if not check:
        return done
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return {path.name: path for path in Path(out).iterdir()}


def digests(files):
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
