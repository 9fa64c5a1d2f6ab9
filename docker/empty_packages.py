"""Makes each package of pyproject.toml as an empty folder: pip can then read metadata before sources are there."""

from __future__ import annotations

import tomllib
from pathlib import Path

with Path("pyproject.toml").open("rb") as file:
    project = tomllib.load(file)
for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
    folder = Path(package)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()
