"""Checks of the manifests that need much installed: ``make deploy-check``. Their tools go into .venv-checks.

checkov's policies, with the exceptions named here, over every overlay; custom resources against npm's schemas, where it
is.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tests.deploy.manifests import KUBERNETES, OVERLAYS, ROOT, combined, kustomize, overlay
from tests.deploy.test_kubernetes import CUSTOM

TOOLS = ROOT / ".venv-checks"
NPM_PACKAGES = (
    "@kubernetes-models/cert-manager@6.0.0",
    "@kubernetes-models/gateway-api@2.0.0",
    "@kubernetes-models/keda@2.0.0",
    "@kubernetes-models/prometheus-operator@6.0.0",
)
EXCEPTIONS = {
    "CKV_K8S_11": "a CPU limit throttles what could be fast; requests share a node fairly",
    "CKV_K8S_15": "versions are not moved, so IfNotPresent is the same image and starts without the registry",
    "CKV_K8S_40": "10001 is above every user of a usual host",
    "CKV_K8S_43": "digests are those of the registry that images are pushed to: its kustomization names them",
    "CKV_K8S_35": "what is in the environment is no secret; keys and tokens are mounted files",
}


def checkov(folder: Path) -> int:
    """Run checkov over rendered overlays; return its exit code."""
    program = TOOLS / "bin" / "checkov"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", TOOLS], check=True)
        subprocess.run([TOOLS / "bin" / "pip", "install", "--quiet", "checkov>=3.3,<4"], check=True)
    skipped = ",".join(EXCEPTIONS)
    words = ["--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "--skip-check", skipped]
    return subprocess.run([program, "-d", folder, *words], check=False).returncode


def custom_resources() -> int:
    """Validate custom resources; return the exit code."""
    npm = shutil.which("npm")
    if npm is None:
        print("npm is not here: custom resources are not validated")
        return 0
    folder = TOOLS / "npm"
    if not (folder / "node_modules").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        subprocess.run([npm, "install", "--silent", "--prefix", folder, *NPM_PACKAGES], check=True)
    shutil.copy(Path(__file__).with_name("custom_resources.mjs"), folder)
    objects = [one for name in OVERLAYS for one in overlay(name)]
    objects += kustomize(KUBERNETES / "components" / "gateway")
    ours = json.dumps([one for one in objects if one["apiVersion"] in CUSTOM])
    return subprocess.run(["node", "custom_resources.mjs"], input=ours, text=True, cwd=folder, check=False).returncode


def main() -> int:
    """Return the process's exit code."""
    codes = [custom_resources()]
    with tempfile.TemporaryDirectory() as name:
        rendered = {one: overlay(one) for one in OVERLAYS} | {"console": combined(("console", "insecure", "hpa"))}
        for one, objects in rendered.items():
            (Path(name) / f"{one}.yaml").write_text(yaml.safe_dump_all(objects))
        codes.append(checkov(Path(name)))
    if not codes[-1]:
        print(f"checkov: {', '.join(rendered)} break no policy; left out by name: {', '.join(sorted(EXCEPTIONS))}")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
