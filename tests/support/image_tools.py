"""skopeo, buildah and podman, on a host where other tests' Outports come and go."""

import re
import subprocess

ATTEMPTS = 5
# They list the drop-in files of registries.conf.d, then read each. One that a stopping Outport
# removes in between ends them before they have done anything.
DROP_IN_IS_GONE = re.compile(
    r"loading drop-in registries configuration [^\n]*: no such file or directory")


def run(*words, check=True, **options):
    """The tool, ended; whoever expects it to fail does not check."""
    for _ in range(ATTEMPTS):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                              timeout=120, **options)
        if done.returncode == 0 or not DROP_IN_IS_GONE.search(done.stderr):
            break
    assert not check or done.returncode == 0, f"{words}: {done.stderr}"
    return done
