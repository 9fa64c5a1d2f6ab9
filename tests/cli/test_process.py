"""The installed command as a process: pipes, exit codes, and what it does not import."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from manypath.codec import Codec
from manypath_pictures.writer import write_png
from tests.cli.conftest import pixels, save_picture

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "import sys; from manypath_cli.main import main; sys.exit(main())"]


def start(*arguments: str, stdin: bytes = b"", cwd: Path = ROOT) -> subprocess.CompletedProcess[bytes]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        cwd=cwd,
        env=environment,
        capture_output=True,
        timeout=300,
        check=False,
    )


def test_a_picture_goes_through_pipes_both_ways(tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    encoded = start("encode", "-", "--model", "tiny-random", stdin=source.read_bytes())
    assert encoded.returncode == 0, encoded.stderr
    codec = Codec.load("tiny-random")
    assert encoded.stdout == codec.encode(pixels(source))
    decoded = start("decode", "-", "-o", "-", "--model", "tiny-random", "--quiet", stdin=encoded.stdout)
    assert decoded.returncode == 0, decoded.stderr
    assert decoded.stderr == b""
    assert decoded.stdout == write_png(codec.decode(encoded.stdout))


def test_a_bad_stream_on_stdin_is_one_line_and_exit_code_4() -> None:
    done = start("inspect", "-", stdin=b"\x89PNG\r\n\x1a\n")
    assert done.returncode == 4
    assert done.stdout == b""
    assert done.stderr.decode() == (
        "manypath: error: stdin: not a Manypath bitstream: starts with 89504e47, expected 4d505448\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "required: COMMAND"),
        (["frobnicate"], 2, "invalid choice"),
        (["encode"], 2, "required: PICTURE"),
        (["encode", "a.png", "--quality", "4", "--max-bytes", "9"], 2, "not allowed with"),
        (["encode", "/nowhere/a.png"], 3, "/nowhere/a.png does not exist"),
    ],
)
def test_wrong_arguments_exit_with_their_code(arguments: list[str], code: int, says: str) -> None:
    done = start(*arguments)
    assert done.returncode == code
    assert says in done.stderr.decode()


@pytest.mark.parametrize("command", ["encode", "decode", "inspect", "models"])
def test_help_teaches_with_an_example(command: str) -> None:
    done = start(command, "--help")
    assert done.returncode == 0
    assert "example" in done.stdout.decode()
    assert f"  manypath {command} " in done.stdout.decode()


def test_the_top_help_lists_commands_and_exit_codes() -> None:
    done = start("--help")
    said = done.stdout.decode()
    assert done.returncode == 0
    for word in ("encode", "decode", "inspect", "serve", "demo", "models", "lab"):
        assert f"\n    {word} " in said
    assert "\n    train " not in said  # the laboratory's commands have a help of their own
    for code in (0, 1, 2, 3, 4, 5, 6):
        assert f"\n  {code} " in said


def test_the_laboratory_lists_its_commands_and_loads_only_the_one_that_is_asked_for() -> None:
    said = start("lab", "--help").stdout.decode()
    for word in ("train", "eval", "figure", "profile", "classifier", "segmenter", "detector"):
        assert f"\n    {word}" in said
    assert "stage1" in start("lab", "train", "--help").stdout.decode()
    assert start("train", "--help").returncode == 2


def test_the_version_is_the_packages() -> None:
    assert start("--version").stdout.decode().startswith("manypath 0.")


def test_help_loads_neither_torch_nor_grpc() -> None:
    script = (
        "import sys; from manypath_cli.main import main\n"
        "try: main(['encode', '--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'grpc', 'PIL', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=True,
    )
    assert done.stderr == b"set()\n"


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path) -> None:
    """A package of that name whose import fails stands for one that is not installed."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    picture = save_picture(tmp_path / "a.png")
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "src")])
    done = subprocess.run(
        [*COMMAND, "encode", str(picture)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "manypath: error: 'manypath encode' needs 'torch', which is not installed; "
        "install the extra 'codec': pip install '.[codec]' in a checkout of manypath\n"
    )


def shell(script: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a line of a shell in which $M is the command."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    command = shlex.join(COMMAND)
    return subprocess.run(
        ["bash", "-c", f'm() {{ {command} "$@"; }}; {script}'],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("m inspect - <&-", "stdin: cannot read: it is closed"),
        ("m inspect a.mpa > /dev/full", "cannot write the output: No space left on device"),
        ("m inspect a.mpa >&-", "cannot write the output"),
        (
            "m decode a.mpa -o - --model tiny-random --quiet > /dev/full",
            "cannot write to stdout: No space left on device",
        ),
        ("m decode a.mpa -o - --model tiny-random --quiet >&-", "cannot write to stdout"),
        ("m models --help > /dev/full", "cannot write the output: No space left on device"),
    ],
)
def test_a_standard_stream_that_is_closed_or_full_is_one_line_and_exit_code_3(
    tmp_path: Path, script: str, says: str
) -> None:
    (tmp_path / "a.mpa").write_bytes(Codec.load("tiny-random").encode(np.zeros((8, 8, 3), np.uint8)))
    done = shell(script, tmp_path)
    assert done.returncode == 3, done.stderr
    assert says in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_closed_streams_do_no_harm_to_files(tmp_path: Path) -> None:
    """The files that a command opens would otherwise get the numbers of the streams, and what is printed to them."""
    save_picture(tmp_path / "a.png")
    done = shell("m encode a.png --model tiny-random <&- >&- 2>&-", tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "a.mpa").read_bytes() == Codec.load("tiny-random").encode(pixels(tmp_path / "a.png"))


def test_a_terminal_without_unicode_gets_every_name(tmp_path: Path) -> None:
    (tmp_path / "grüße.mpa").write_bytes(Codec.load("tiny-random").encode(np.zeros((8, 8, 3), np.uint8)))
    done = shell("PYTHONIOENCODING=ascii m inspect grüße.mpa", tmp_path)
    assert done.returncode == 0, done.stderr
    assert rb"gr\xfc\xdfe.mpa" in done.stdout
