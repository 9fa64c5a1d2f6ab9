"""A stream written under any setting decodes to the same symbols under every other."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from manypath.convert.quantise import quantised
from manypath.testing import random_model


class Setting(NamedTuple):
    """An environment, and what the libraries must then say of themselves.

    Attributes:
        environment: variables.
        says: for each library, a part of its words.
        needs: words of a library on a machine that can do it; without them the setting is not to be had.
    """

    environment: dict[str, str]
    says: Mapping[str, str] = MappingProxyType({})
    needs: Mapping[str, str] = MappingProxyType({})


AVX2, AVX512 = "AVX2", "AVX-512"
SETTINGS = {
    "plain": Setting({}),
    "two threads": Setting({"THREADS": "2"}, {"threads": "2"}),
    "avx2": Setting(
        {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
        {"aten": "AVX2", "onednn": "Intel AVX2", "mkl": "(Intel(R) AVX2)", "octets": "False"},
        {"aten": "AVX", "mkl": "(Intel(R) AVX"},  # on AMD's processors MKL does not say which it takes
    ),
    "sse41": Setting(
        {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
        {"aten": "DEFAULT", "onednn": "Intel SSE4.1", "octets": "False"},
    ),
    "avx512": Setting(
        {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
        {"aten": "AVX512", "onednn": "Intel AVX-512 with AVX512BW", "mkl": "(Intel(R) AVX-512) enabled"},
        {"aten": "AVX512", "mkl": "(Intel(R) AVX"},
    ),
    "mkl compatible": Setting(
        {"MKL_CBWR": "COMPATIBLE"}, {"mkl": "Intel(R) Architecture processors"}, {"mkl": "Intel"}
    ),
    "bf16 transforms": Setting({"DTYPE": "bfloat16"}, {"dtype": "torch.bfloat16"}),
    "batch of four": Setting({"BATCH": "4"}, {"batch": "4"}),
}
MODELS = ("edge", "quantised")  # stored weights: torch draws other random ones under other instruction sets


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Run ``exactness_probe`` under each setting: each writes streams, then reads those of all before it."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "quantised.safetensors").write_bytes(quantised(random_model("tinylic-tiny")))
    found = {}
    for name, setting in SETTINGS.items():
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **setting.environment}
        command = [sys.executable, "-m", "tests.codec.exactness_probe", str(folder), name, *MODELS]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_was_really_in_force(report: dict[str, dict[str, Any]], name: str) -> None:
    setting, said = SETTINGS[name], report[name]["in_force"]
    for library, words in setting.needs.items():
        plain = report["plain"]["in_force"][library]
        if words not in plain:
            pytest.skip(f"not to be had here: {name}; {library} says {plain or 'nothing'!r}")
    for library, words in setting.says.items():
        assert words in said[library], f"{name}: {library} says {said[library]!r}"


def test_products_of_bytes_and_of_floats_both_wrote_and_read(report: dict[str, dict[str, Any]]) -> None:
    """Where the processor has VNNI, plain settings multiply bytes, and those kept to older instructions float32."""
    said = {name: found["in_force"]["octets"] for name, found in report.items()}
    assert {said["avx2"], said["sse41"], said["avx512"]} == {"False"}
    if said["plain"] == "False":
        pytest.skip("not to be had here: bytes are not multiplied")
    assert said["two threads"] == said["bf16 transforms"] == said["batch of four"] == "True"


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_reads_what_every_earlier_one_wrote(report: dict[str, dict[str, Any]], name: str) -> None:
    read = report[name]["read"]
    assert set(read) == set(list(SETTINGS)[: 1 + list(SETTINGS).index(name)])
    for earlier, symbols in read.items():
        assert len(symbols) == 3 * len(MODELS)
        assert symbols == report[earlier]["written"], f"{name} reads {earlier}'s streams differently"


@pytest.mark.parametrize("name", SETTINGS)
def test_equal_latents_give_equal_symbols_and_bytes(report: dict[str, dict[str, Any]], name: str) -> None:
    assert report[name]["from_latents"] == report["plain"]["from_latents"]
