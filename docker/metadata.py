"""Writes what pip has to know of the project before its sources are there: ``metadata.py FOLDER``.

That is the dependencies of the images' extras, and each package as an empty folder. Settings of tools and dependencies
of development are left out: a change of those installs nothing anew.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

EXTRAS = ("camera", "classifier", "codec", "console", "decoder", "encoder", "rpc", "tracing", "worker", "worker-gpu")

with Path("pyproject.toml").open("rb") as file:
    whole = tomllib.load(file)
project = whole["project"]
packages = whole["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
# a list of strings is the same in JSON and in TOML
lines = [
    "[build-system]",
    *(f"{key} = {json.dumps(value)}" for key, value in whole["build-system"].items()),
    "[project]",
    *(f"{key} = {json.dumps(project[key])}" for key in ("name", "version", "requires-python", "dependencies")),
    "[project.optional-dependencies]",
    *(f"{extra} = {json.dumps(project['optional-dependencies'][extra])}" for extra in EXTRAS),
    "[tool.hatch.build.targets.wheel]",
    f"packages = {json.dumps(packages)}",
]
target = Path(sys.argv[1])
for package in packages:
    folder = target / package
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()
(target / "pyproject.toml").write_text("\n".join(lines) + "\n")
(target / "constraints.txt").write_bytes(Path("constraints.txt").read_bytes())
