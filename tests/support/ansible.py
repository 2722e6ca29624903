"""Unpacks the collections for AWS from the package of PyPI that has all of them.

PyPI has collections only in `ansible`, 54 MB with thirty thousand files; two of them are eight MB.
Usage: `python3 ansible.py WHEEL`, with the Python that has ansible-core; puts them beside it, where
ansible looks for them.
"""

import shutil
import sys
import sysconfig
import zipfile
from pathlib import Path

COLLECTIONS = ("amazon/aws", "community/aws")


def main(wheel):
    target = Path(sysconfig.get_path("purelib"))
    with zipfile.ZipFile(wheel) as archive:
        for collection in COLLECTIONS:
            prefix = f"ansible_collections/{collection}/"
            shutil.rmtree(target / prefix, ignore_errors=True)
            names = [name for name in archive.namelist() if name.startswith(prefix)]
            assert names, f"{wheel} has no collection {collection}"
            archive.extractall(target, names)


if __name__ == "__main__":
    main(sys.argv[1])
