"""A stream written under any setting decodes to the same symbols under every other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from manypath.convert.quantise import quantised
from manypath.testing import random_model

SETTINGS = {
    "plain": {},
    "two threads": {"THREADS": "2"},
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "sse41": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
    "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
    "mkl sse": {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "MKL_CBWR": "COMPATIBLE"},
    "bf16 transforms": {"DTYPE": "bfloat16"},
    "batch of four": {"BATCH": "4"},
}
MODELS = ("edge", "quantised")  # stored weights: torch draws other random ones under other instruction sets


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Run ``exactness_probe`` under each setting: each writes streams, then reads those of all before it."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "quantised.safetensors").write_bytes(quantised(random_model("tinylic-tiny")))
    found = {}
    for name, extra in SETTINGS.items():
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **extra}
        command = [sys.executable, "-m", "tests.codec.exactness_probe", str(folder), name, *MODELS]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_reads_what_every_earlier_one_wrote(report: dict[str, dict], name: str) -> None:
    for earlier, symbols in report[name]["read"].items():
        assert symbols == report[earlier]["written"], f"{name} reads {earlier}'s streams differently"


@pytest.mark.parametrize("name", SETTINGS)
def test_equal_latents_give_equal_symbols_and_bytes(report: dict[str, dict], name: str) -> None:
    assert report[name]["from_latents"] == report["plain"]["from_latents"]


def test_the_settings_were_really_run() -> None:
    assert Path(__file__).with_name("exactness_probe.py").exists()
    assert len(SETTINGS) >= 6
