"""What is in an image: ``make sbom`` writes a CycloneDX file of each image of ours into sbom/, and shows a summary.

It asks the image itself: its Python for what pip installed, its dpkg for the rest. It needs docker.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
_ASK_PYTHON = """
import json
from importlib.metadata import distributions
def licence(meta):
    named = [c.rpartition(" :: ")[2] for c in meta.get_all("Classifier") or () if c.startswith("License ::")]
    text = (meta["License"] or "").strip()
    short = text if len(text) < 60 and "\\n" not in text else ""
    return meta["License-Expression"] or " and ".join(named) or short
print(json.dumps([[d.metadata["Name"], d.version, licence(d.metadata)] for d in distributions()]))
"""
_ASK_DPKG = ("dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}\\n")


def run_in(image: str, *words: str) -> str:
    """Run a program of an image and return what it printed."""
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", words[0], image, *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def bill(image: str, python: Sequence[Sequence[str]], debian: Sequence[str]) -> dict[str, Any]:
    """Return a CycloneDX bill of materials.

    Args:
        image: its reference.
        python: name, version and licence of each distribution.
        debian: a line for each package: name, version, architecture.
    """
    components: list[dict[str, Any]] = []
    for name, version, licence in sorted(python):
        plain = name.lower().replace("_", "-")
        one = {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{plain}@{quote(version)}"}
        components.append(one | ({"licenses": [{"license": {"name": licence}}]} if licence else {}))
    for name, version, architecture in sorted(line.split() for line in debian):
        purl = f"pkg:deb/debian/{name}@{quote(version, safe='')}?arch={architecture}"
        components.append({"type": "library", "name": name, "version": version, "purl": purl})
    whole = {"type": "container", "name": image.rpartition(":")[0], "version": image.rpartition(":")[2]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": whole},
        "components": components,
    }


def summary(image: str, content: Mapping[str, Any]) -> str:
    """Return a line: how many parts, and under which licences those of Python are."""
    python = [one for one in content["components"] if one["purl"].startswith("pkg:pypi/")]
    licences = Counter(one["licenses"][0]["license"]["name"] if "licenses" in one else "not told" for one in python)
    shown = ", ".join(f"{number} {name}" for name, number in licences.most_common())
    return f"{image}: {len(python)} from PyPI, {len(content['components']) - len(python)} from Debian; {shown}"


def images() -> list[str]:
    """Return our images, as deploy/images.env names them."""
    lines = (ROOT / "deploy" / "images.env").read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if "=manypath/" in line]


def main() -> int:
    """Write a file for each image; return the process's exit code."""
    folder = ROOT / "sbom"
    folder.mkdir(exist_ok=True)
    for image in sys.argv[1:] or images():
        content = bill(
            image, json.loads(run_in(image, "python", "-c", _ASK_PYTHON)), run_in(image, *_ASK_DPKG).splitlines()
        )
        file = folder / f"{image.rpartition('/')[2].replace(':', '-')}.cdx.json"
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(summary(image, content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
