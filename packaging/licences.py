# ruff: noqa: INP001  a script of the build, never imported by the product
"""List every package of a virtual environment with its version, its licence and the licence's files.

Usage: python packaging/licences.py SITE-PACKAGES >licences.txt
"""

import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path


def licence(found: Distribution) -> str:
    """As its metadata says: the expression, else the classifiers, else the first line of the text."""
    metadata = found.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    prefix = "License :: OSI Approved :: "
    classified = [text.removeprefix(prefix) for text in metadata.get_all("Classifier", []) if prefix in text]
    if classified:
        return " and ".join(classified)
    text = (metadata.get("License") or "").strip()
    return text.splitlines()[0] if text else "not stated"


def main() -> None:
    """Print the list."""
    packages = Path(sys.argv[1])
    found = sorted(distributions(path=[str(packages)]), key=lambda each: each.name.lower())
    for each in found:
        files = [
            path for path in each.files or [] if "license" in path.name.lower() or path.name == "COPYING"
        ]
        where = ", ".join(str(path) for path in files if ".dist-info" in str(path)) or "no file"
        sys.stdout.write(f"{each.name} {each.version}\n    {licence(each)}\n    {where}\n")


if __name__ == "__main__":
    main()
