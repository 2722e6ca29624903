"""Unpacks the AWS CLI version 2 from the package of PyPI that AWS publishes it in.

PyPI's `awscli` is version 1, which lacks `logs tail`. Version 2 is published there only as an asset of
the CDK (`aws-cdk.asset-awscli-v2`): a zip file with the program as AWS ships it, in an npm package in a
wheel. Usage: `python3 aws_cli.py`, with the Python that has the package; makes `aws` beside it.
"""

import importlib.util
import io
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

ASSET = "package/lib/layer.zip"


def main():
    package = Path(importlib.util.find_spec("aws_cdk.asset_awscli_v2").origin).parent
    archive = next((package / "_jsii").glob("asset-awscli-v2@*.jsii.tgz"))
    target = Path(sys.prefix) / "awscli"
    shutil.rmtree(target, ignore_errors=True)
    with tarfile.open(archive) as tar:
        with zipfile.ZipFile(io.BytesIO(tar.extractfile(ASSET).read())) as asset:
            asset.extractall(target)
    program = next(target.glob("awscli/v2/*/dist/aws"))
    program.chmod(0o755)
    link = Path(sys.prefix) / "bin/aws"
    link.unlink(missing_ok=True)
    link.symlink_to(program)


if __name__ == "__main__":
    main()
