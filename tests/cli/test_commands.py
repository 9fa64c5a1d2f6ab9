"""encode, decode, inspect and models, in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manypath.codec import Codec
from manypath.paths import DecodePath
from manypath_cli.exits import ExitCode
from manypath_cli.main import main
from tests.cli.conftest import Run, pixels, save_picture


def test_a_picture_goes_through_both_ways(manypath: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = save_picture(tmp_path / "a.png")
    assert manypath("encode", source) == ExitCode.OK
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("1 picture, ")
    assert "bpp" in said.err
    assert "pictures/s" in said.err
    assert manypath("decode", "a.mpa", "-o", "again.png") == ExitCode.OK
    codec = Codec.load("tiny-random")
    stream = (tmp_path / "a.mpa").read_bytes()
    assert stream == codec.encode(pixels(source))
    assert (pixels(tmp_path / "again.png") == codec.decode(stream)).all()


def test_an_upright_picture_comes_out_of_a_turned_one(manypath: Run, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save_picture(tmp_path / "turned.jpg", 40, 24, exif=exif)
    assert manypath("encode", "turned.jpg") == ExitCode.OK
    assert manypath("decode", "turned.mpa") == ExitCode.OK
    assert pixels(tmp_path / "turned.png").shape == (40, 24, 3)


def test_quality_and_budgets_reach_the_codec(manypath: Run, tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 64, 64)
    sizes = {}
    for options in ("--quality 1", "--quality 8", "--max-bytes 600", "--target-bpp 0.9", "--max-bytes 600 --effort 1"):
        assert manypath("encode", "a.png", "--force", *options.split()) == ExitCode.OK
        sizes[options] = (tmp_path / "a.mpa").stat().st_size
    assert sizes["--quality 1"] < sizes["--quality 8"]
    assert sizes["--max-bytes 600"] <= 600
    assert sizes["--max-bytes 600 --effort 1"] <= 600
    assert sizes["--target-bpp 0.9"] <= 0.9 * 64 * 64 / 8


def test_a_folder_is_encoded_and_decoded_with_its_shape(
    manypath: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_picture(tmp_path / "in" / "a.png")
    save_picture(tmp_path / "in" / "deep" / "b.jpg", 30, 50)
    save_picture(tmp_path / "in" / "deep" / "c.webp", 1, 1)
    assert manypath("encode", "in", "-o", "small") == ExitCode.OK
    assert "3 pictures, " in capsys.readouterr().err
    assert manypath("decode", "small", "-o", "again") == ExitCode.OK
    decoded = sorted(str(file.relative_to(tmp_path)) for file in (tmp_path / "again").rglob("*.png"))
    assert decoded == ["again/a.png", "again/deep/b.png", "again/deep/c.png"]
    assert pixels(tmp_path / "again/deep/b.png").shape == (50, 30, 3)


def test_a_bad_file_does_not_stop_its_neighbours(
    manypath: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ac":
        save_picture(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "b.png").write_bytes(b"not a picture")
    assert manypath("encode", "in", "-o", "out") == ExitCode.PARTIAL
    said = capsys.readouterr().err
    assert "in/b.png: not a JPEG" in said
    assert "1 of 3 files failed" in said
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.mpa", "c.mpa"]


@pytest.fixture(scope="module")
def files_to_make_mistakes_with(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mistakes")
    codec = Codec.load("tiny-random")
    good = codec.encode(pixels(save_picture(folder / "a.png")))
    save_picture(folder / "good.png")
    (folder / "good.mpa").write_bytes(good)
    (folder / "cut.mpa").write_bytes(good[:-5])
    (folder / "notes.txt").write_text("dear diary")
    other = Codec.load("tinylic-tiny-random").encode(np.zeros((8, 8, 3), np.uint8))
    (folder / "other.mpa").write_bytes(other)
    return folder


@pytest.fixture
def mistakes(manypath: Run, tmp_path: Path, files_to_make_mistakes_with: Path) -> Run:
    """The command, in a folder of files to make mistakes with."""
    shutil.copytree(files_to_make_mistakes_with, tmp_path, dirs_exist_ok=True)
    return manypath


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("encode a.png --quality 9.5", ExitCode.REQUEST, "quality must be in"),
        ("encode a.png --effort 4", ExitCode.REQUEST, "effort must be a whole number from 0 to 3, got 4"),
        ("encode a.png --max-bytes 20", ExitCode.REQUEST, "a.png: the budget of 20 bytes"),
        ("encode notes.txt", ExitCode.REQUEST, "notes.txt: not a JPEG"),
        ("encode missing.png", ExitCode.REQUEST, "missing.png does not exist"),
        ("encode a.png --background blurple", ExitCode.REQUEST, "background"),
        ("encode a.png --target-bpp 1e308", ExitCode.REQUEST, "a budget must be a positive, finite number"),
        ("encode a.png --max-bytes 1" + 400 * "0", ExitCode.REQUEST, "a budget must be a positive, finite number"),
        ("encode a.png --quality nan", ExitCode.REQUEST, "quality must be in"),
        ("decode good.mpa -o x.png --task-share nan", ExitCode.REQUEST, "task_share"),
        ("encode a.png --threads 0", ExitCode.USAGE, "--threads"),
        ("encode a.png --device toaster", ExitCode.USAGE, "--device must be cpu, cuda or cuda:N, got 'toaster'"),
        ("encode a.png --device meta", ExitCode.USAGE, "--device must be"),
        ("encode a.png --device cuda:99", ExitCode.USAGE, "--device cuda:99 cannot be used here"),
        ("encode a.png --threads 99999999999999999999", ExitCode.USAGE, "--threads must be 1 to"),
        ("encode a.png -o b.gif", ExitCode.USAGE, "-o must end in .mpa"),
        ("decode notes.txt -o x.png", ExitCode.BITSTREAM, "notes.txt: not a Manypath"),
        ("decode cut.mpa -o x.png", ExitCode.BITSTREAM, "only"),
        ("decode other.mpa -o x.png", ExitCode.MODEL, "was written by model"),
        ("decode good.mpa -o x.png --path scenic", ExitCode.REQUEST, "path must be one of"),
        ("decode good.mpa -o x.png --task-share 2", ExitCode.REQUEST, "task_share"),
        ("decode good.mpa", ExitCode.USAGE, "good.png exists"),
        ("inspect notes.txt", ExitCode.BITSTREAM, "not a Manypath"),
        ("models show nowhere", ExitCode.MODEL, "no model 'nowhere'"),
        ("models show notes.txt", ExitCode.MODEL, "not a safetensors file"),
        ("models export . -o x.pt", ExitCode.USAGE, ".safetensors"),
        ("models export . -o x.safetensors", ExitCode.MODEL, "holds no training run"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    mistakes: Run, capsys: pytest.CaptureFixture[str], command: str, code: ExitCode, message: str
) -> None:
    assert mistakes(*command.split()) == code
    said = capsys.readouterr()
    assert said.err.count("\n") == 1, said.err
    assert said.err.startswith("manypath: error: ")
    assert message in said.err
    assert said.out == ""


def test_a_missing_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_picture(tmp_path / "a.png")
    assert main(["encode", str(tmp_path / "a.png"), "--model", "nowhere"]) == ExitCode.MODEL
    assert "no model 'nowhere'" in capsys.readouterr().err


def test_a_path_without_a_side_is_decoded_by_the_main_one_and_said_so(
    manypath: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_picture(tmp_path / "a.png")
    manypath("encode", "a.png")
    path = DecodePath.CLASSIFICATION
    assert not Codec.load("tiny-random").serves(path)
    capsys.readouterr()
    assert manypath("decode", "a.mpa", "-o", "x.png", "--path", path.value) == ExitCode.OK
    assert "no side path for classification; the main path is taken" in capsys.readouterr().err


def test_a_cut_stream_decodes_on_demand(manypath: Run, tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 64, 64)
    manypath("encode", "a.png", "--quality", 8)
    stream = (tmp_path / "a.mpa").read_bytes()
    (tmp_path / "a.mpa").write_bytes(stream[: len(stream) // 2])
    assert manypath("decode", "a.mpa", "-o", "x.png") == ExitCode.BITSTREAM
    assert manypath("decode", "a.mpa", "-o", "x.png", "--allow-truncated") == ExitCode.OK
    assert pixels(tmp_path / "x.png").shape == (64, 64, 3)


def test_inspect_says_what_the_header_says(manypath: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_picture(tmp_path / "a.png", 40, 24)
    manypath("encode", "a.png", "--quality", 2.5)
    size = (tmp_path / "a.mpa").stat().st_size
    capsys.readouterr()
    assert manypath("inspect", "a.mpa") == ExitCode.OK
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["file", "size", "quality", "bytes", "bpp", "strips", "slices", "model"]
    codec = Codec.load("tiny-random")
    slices = len(codec.config.slices)
    bpp = f"{8 * size / (40 * 24):.4f}"
    assert row.split() == ["a.mpa", "40x24", "2.5", str(size), bpp, "1", f"{slices}/{slices}", codec.model_digest]

    (tmp_path / "bad.mpa").write_bytes(b"MPTX")
    assert manypath("inspect", "a.mpa", "bad.mpa", "--json") == ExitCode.PARTIAL
    said = capsys.readouterr()
    (facts,) = json.loads(said.out)
    assert (facts["file"], facts["width"], facts["height"], facts["bytes"]) == ("a.mpa", 40, 24, size)
    assert "bad.mpa: not a Manypath bitstream" in said.err


def test_models_lists_and_shows_what_is_shipped(manypath: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert manypath("models") == ExitCode.OK
    listed = capsys.readouterr().out
    assert listed.startswith("edge ")
    assert manypath("models", "show", "edge", "--json") == ExitCode.OK
    facts = json.loads(capsys.readouterr().out)
    assert facts["digest"][:8] == Codec.load("edge").model_digest
    assert facts["digest"][:8] in listed
    assert facts["config"]["name"] == "edge"
    assert "perceptual" in facts["paths"]
