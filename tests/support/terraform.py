"""Terraform in a directory, with its provider from a mirror on this machine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def mirror_of_providers():
    """A directory as `terraform providers mirror` makes it, with `hashicorp/aws`: 600 MB that no test fetches."""
    mirror = os.environ.get("OUTPORT_TERRAFORM_MIRROR")
    if not shutil.which("terraform") or not mirror:
        pytest.skip("needs terraform, and its provider in the directory OUTPORT_TERRAFORM_MIRROR")
    return Path(mirror)


class Terraform:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.settings = self.directory.with_name("terraformrc")
        self.settings.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror_of_providers()}"\n  }}\n}}\n')

    def run(self, on, *arguments, expected=0):
        """Runs it with what `eval "$(outport env)"` of an Outport sets; what it printed."""
        done = subprocess.run(
            ["terraform", *arguments, "-no-color", "-input=false"], cwd=self.directory, text=True,
            capture_output=True, timeout=240,
            env={**os.environ, **on.env(), "TF_CLI_CONFIG_FILE": str(self.settings), "CHECKPOINT_DISABLE": "1"})
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout
