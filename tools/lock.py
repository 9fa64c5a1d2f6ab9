"""Writes constraints.txt: one exact version for everything that any extra may install.

uv resolves for Python 3.11 and 3.12 at once and for CUDA builds as well as CPU ones: a CPU build of torch never
asks for the CUDA packages, so their lines do no harm there. natten is left out: its build needs the torch it runs
with.

Run by ``make lock``; uv itself comes into a throw-away environment.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAD = (
    "# Exact versions for every extra, CPU and CUDA, Python 3.11 and 3.12."
    " Written by 'make lock'; ranges are in pyproject.toml.\n"
)


def resolve() -> str:
    """Return the newest versions that pyproject.toml's ranges admit together, as a requirements file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        scripts = folder / "venv" / "bin"
        subprocess.run([scripts / "pip", "install", "--quiet", "uv"], check=True)
        project = folder / "project"
        project.mkdir()
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, project)
        subprocess.run([scripts / "uv", "lock", "--quiet", "--project", project], check=True)
        export = [
            scripts / "uv",
            "export",
            "--project",
            project,
            "--frozen",
            "--all-extras",
            "--no-extra",
            "natten",
        ]
        plain = ["--no-hashes", "--no-emit-project", "--no-annotate", "--no-header", "--quiet"]
        return subprocess.run([*export, *plain], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    (ROOT / "constraints.txt").write_text(HEAD + resolve())
    sys.stdout.write("constraints.txt written; run 'make test' before you commit it\n")
