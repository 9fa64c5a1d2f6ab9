"""The generated code is the protos' own, and the protos are well-formed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_generator():
    spec = importlib.util.spec_from_file_location("generate_protos", ROOT / "protos" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_code_is_what_the_protos_give_today():
    pytest.importorskip("grpc_tools")
    assert load_generator().differences() == []


def test_a_changed_generated_file_is_noticed(tmp_path, monkeypatch):
    pytest.importorskip("grpc_tools")
    generator = load_generator()
    shutil.copytree(ROOT / "src" / "manypath_api", tmp_path / "manypath_api")
    changed = tmp_path / "manypath_api" / "v1" / "codec_pb2.pyi"
    changed.write_text(changed.read_text() + "\n")
    monkeypatch.setattr(generator, "SOURCES", tmp_path)
    assert generator.differences() == ["manypath_api/v1/codec_pb2.pyi"]


def test_protos_pass_the_standard_lint_and_are_formatted():
    buf = shutil.which("buf", path=sysconfig.get_path("scripts")) or shutil.which("buf")
    if buf is None:
        pytest.skip("buf is not installed; it comes with the development extra (buf-bin)")
    for command in (["lint"], ["format", "--diff", "--exit-code"]):
        run = subprocess.run([buf, *command, "protos"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


def test_generated_code_loads_in_a_bare_interpreter():
    code = "import manypath_api.v1.codec_pb2_grpc, sys; assert 'torch' not in sys.modules"
    command = [sys.executable, "-W", "error", "-c", code]
    subprocess.run(command, check=True, cwd=ROOT / "src")
