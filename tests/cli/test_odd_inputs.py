"""Whatever a folder, a pipe, a name or an argument is: each gets its file or one clear line."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from manypath.codec import Codec
from manypath_cli import jobs
from manypath_cli.exits import ExitCode
from manypath_cli.main import main
from manypath_pictures.reader import Samples
from tests.cli.conftest import Run, pixels, save_picture
from tests.pictures.files import orientation_entry, saved, scene, segment, tiff, wide_gamut_profile, with_segments

Said = pytest.CaptureFixture[str]


@pytest.fixture
def without_rights(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """A user for whom modes of files count, also where the tests run as root; in the test's own folder."""
    Codec.load("tiny-random")  # whatever it imports is imported
    request.getfixturevalue("manypath")  # it enters the folder, which this user could not
    tmp_path.chmod(0o777)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


def stream_of(manypath: Run, file: Path) -> bytes:
    """Return what a picture becomes, by the ordinary way."""
    assert manypath("encode", file, "-o", "expected.mpa", "--force") == ExitCode.OK
    return Path("expected.mpa").read_bytes()


# -------------------------------------------------------------------------------------------- pictures


def test_a_folder_of_odd_pictures_is_done_whole(manypath: Run, tmp_path: Path, capsys: Said) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    jpeg = saved(scene(), "JPEG", quality=95)
    odd = tiff([(0x011A, 2, 4, b"odd\0"), orientation_entry(6)])
    (folder / "resolution-is-text.jpg").write_bytes(with_segments(jpeg, segment(0xE1, b"Exif\0\0" + odd)))
    (folder / "no-end.jpg").write_bytes(jpeg[:-2])
    (folder / "cmyk.jpg").write_bytes(saved(Image.fromarray(scene()).convert("CMYK"), "JPEG"))
    (folder / "wide.png").write_bytes(saved(scene(), icc_profile=wide_gamut_profile()))
    (folder / "last.png").write_bytes(saved(scene()))
    assert manypath("encode", "in", "-o", "out") == ExitCode.OK
    assert "5 pictures" in capsys.readouterr().err
    assert manypath("decode", "out/resolution-is-text.mpa", "-o", "turned.png") == ExitCode.OK
    assert pixels(tmp_path / "turned.png").shape == (48, 32, 3)


def test_deep_samples_in_colour_are_refused_by_name(manypath: Run, tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "deep.ppm").write_bytes(b"P6 8 8 65535\n" + bytes(8 * 8 * 6))
    assert manypath("encode", "deep.ppm") == ExitCode.REQUEST
    assert "deep.ppm: samples up to 65535 have more than 8 bits" in capsys.readouterr().err


def test_a_transparent_picture_names_the_option_that_helps(manypath: Run, tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "glass.png").write_bytes(saved(Image.new("RGBA", (4, 4), (0, 0, 0, 128))))
    assert manypath("encode", "glass.png") == ExitCode.REQUEST
    assert "--background white" in capsys.readouterr().err
    assert manypath("encode", "glass.png", "--background", "white") == ExitCode.OK


def test_a_failure_that_nobody_expected_is_that_files_alone(
    manypath: Run, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codec that breaks on one size stands for any fault that a batch may meet."""
    for name in "ac":
        save_picture(tmp_path / "in" / f"{name}.png")
    save_picture(tmp_path / "in" / "b.png", 17, 13)
    encode = Codec.encode

    def encode_or_break(codec: Codec, picture: Samples, *arguments: object, **options: object) -> bytes:
        if picture.shape == (13, 17, 3):
            raise ZeroDivisionError("one\x1b[31m odd picture")
        return encode(codec, picture, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Codec, "encode", encode_or_break)
    assert manypath("encode", "in", "-o", "out") == ExitCode.PARTIAL
    said = capsys.readouterr().err
    assert r"in/b.png: unexpected ZeroDivisionError: one\x1b[31m odd picture; --traceback shows where" in said
    assert "Traceback" not in said
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.mpa", "c.mpa"]
    assert manypath("encode", "in/b.png", "-o", "b.mpa", "--traceback") == ExitCode.UNEXPECTED
    assert "Traceback" in capsys.readouterr().err


# --------------------------------------------------------------------------------- pipes and devices


def feed(fifo: Path, data: bytes) -> threading.Thread:
    """Write into a pipe as soon as somebody reads it."""
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(data,))
    writer.start()
    return writer


def test_a_named_pipe_is_a_file(manypath: Run, tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    writer = feed(tmp_path / "fifo", source.read_bytes())
    assert manypath("encode", "fifo", "-o", "out.mpa") == ExitCode.OK
    writer.join()
    assert (tmp_path / "out.mpa").read_bytes() == stream_of(manypath, source)


def test_process_substitution_is_a_file(manypath: Run, tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    read, write = os.pipe()
    with os.fdopen(write, "wb") as pipe:
        pipe.write(source.read_bytes())
    try:
        assert manypath("encode", f"/dev/fd/{read}", "-o", "out.mpa") == ExitCode.OK
    finally:
        os.close(read)
    assert (tmp_path / "out.mpa").read_bytes() == stream_of(manypath, source)


def test_a_device_without_an_end_is_not_read_for_ever(
    manypath: Run, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_BYTES", 2**22 + 5)
    assert manypath("encode", "/dev/zero", "-o", "zero.mpa") == ExitCode.REQUEST
    assert "/dev/zero: cannot read: it has more than 4194309 bytes" in capsys.readouterr().err


def test_an_output_may_be_a_pipe(manypath: Run, tmp_path: Path) -> None:
    source = save_picture(tmp_path / "a.png")
    os.mkfifo(tmp_path / "sink")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "sink").read_bytes()))
    reader.start()
    assert manypath("encode", source, "-o", "sink") == ExitCode.OK
    reader.join()
    assert got == [stream_of(manypath, source)]


# ----------------------------------------------------------------------------------- arguments, names


@pytest.mark.parametrize(
    "arguments",
    [
        ("encode", ""),
        ("decode", ""),
        ("inspect", ""),
        ("encode", "a.png", "-o", ""),
        ("encode", "a.png", "--output="),
        ("encode", "a.png", "--background", ""),
        ("models", "show", ""),
        ("models", "export", "", "-o", "x.safetensors"),
        ("demo", "--picture", ""),
    ],
)
def test_an_empty_argument_is_a_usage_error(
    tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "a.png")
    assert main(arguments) == ExitCode.USAGE
    assert "is a variable not set?" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_two_pictures_of_one_name_both_get_a_file(manypath: Run, tmp_path: Path) -> None:
    for name in ("a.jpg", "a.jpeg", "b.png"):
        save_picture(tmp_path / "in" / name)
    assert manypath("encode", "in", "-o", "out") == ExitCode.OK
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.jpeg.mpa", "a.jpg.mpa", "b.mpa"]


def test_a_batch_goes_on_where_it_was_interrupted(manypath: Run, tmp_path: Path, capsys: Said) -> None:
    for name in "abc":
        save_picture(tmp_path / "in" / f"{name}.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.mpa").write_bytes(b"as it was")
    assert manypath("encode", "in", "-o", "out") == ExitCode.USAGE
    assert "--skip-existing" in capsys.readouterr().err
    assert manypath("encode", "in", "-o", "out", "--skip-existing") == ExitCode.OK
    said = capsys.readouterr().err
    assert "2 pictures, " in said
    assert "1 left alone" in said
    assert (tmp_path / "out" / "b.mpa").read_bytes() == b"as it was"
    assert manypath("encode", "in", "-o", "out", "--skip-existing") == ExitCode.OK
    assert "3 left alone" in capsys.readouterr().err


def test_the_longest_name_that_a_file_may_have_is_written(manypath: Run, tmp_path: Path) -> None:
    name = "n" * 251
    save_picture(tmp_path / f"{name}.png")
    assert manypath("encode", f"{name}.png") == ExitCode.OK
    assert manypath("decode", f"{name}.mpa", "--force") == ExitCode.OK
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{name}.mpa", f"{name}.png"]


def test_a_name_cannot_command_the_terminal(manypath: Run, tmp_path: Path, capsys: Said) -> None:
    source = save_picture(tmp_path / "a.png")
    odd = b"x\n\x1b[31m\xff.mpa"
    (tmp_path / os.fsdecode(odd)).write_bytes(stream_of(manypath, source))
    capsys.readouterr()
    assert manypath("inspect", os.fsdecode(odd)) == ExitCode.OK
    said = capsys.readouterr().out
    assert said.count("\n") == 2
    assert r"x\n\x1b[31m\xff.mpa  40x24" in said
    assert manypath("encode", "\x1b]0;gone\x07.png") == ExitCode.REQUEST
    assert r"\x1b]0;gone\x07.png does not exist" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------- folders


def test_what_a_folder_walk_leaves_out_is_told(manypath: Run, tmp_path: Path, capsys: Said) -> None:
    folder = tmp_path / "in"
    save_picture(folder / "a.jpg")
    (folder / "._a.jpg").write_bytes(b"\0\5\x16\7" + bytes(78))  # the other half of a Mac's file
    (folder / ".hidden").mkdir()
    save_picture(folder / ".hidden" / "h.png")
    for name in ("b.jfif", "c.jpe", "d.pgm"):
        Image.fromarray(scene()[..., 0]).save(folder / name, "PPM" if name.endswith("pgm") else "JPEG")
    (folder / "e.HEIC").write_bytes(b"x")
    (folder / "f.heic").write_bytes(b"x")
    (folder / "notes").write_bytes(b"x")
    (folder / "dangling.jpg").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.jpg")
    assert manypath("encode", "in", "-o", "out") == ExitCode.OK
    said = capsys.readouterr().err
    assert "5 other files left out: 2 .heic, " in said
    for kind in ("1 no suffix", "1 a broken link", "1 no regular file"):
        assert kind in said
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.mpa", "b.mpa", "c.mpa", "d.mpa"]


@pytest.mark.usefixtures("without_rights")
@pytest.mark.parametrize("given", ["in", "in/**/*.png"])
def test_a_folder_that_cannot_be_read_is_named_and_the_rest_is_done(manypath: Run, capsys: Said, given: str) -> None:
    save_picture(Path("in/a.png"))
    save_picture(Path("in/shut/b.png"))
    Path("in/shut").chmod(0)
    try:
        assert manypath("encode", given, "-o", "out") == ExitCode.PARTIAL
        said = capsys.readouterr().err
        assert "manypath: error: in/shut: cannot be read: Permission denied" in said
        assert "1 of 2 files failed" in said
        assert [file.name for file in Path("out").iterdir()] == ["a.mpa"]
        assert manypath("inspect", "out", "in") == ExitCode.PARTIAL
        assert "in/shut: cannot be read" in capsys.readouterr().err
    finally:
        Path("in/shut").chmod(0o700)


@pytest.mark.usefixtures("without_rights")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("encode", "shut"), "shut: cannot be read: Permission denied"),
        (("encode", "shut/b.png"), "shut/b.png: Permission denied"),
        (("encode", "a.png", "-o", "shut/b.mpa"), "shut/b.mpa: Permission denied"),
        (("encode", "a.png", "-o", "shut/new/"), "shut/new: Permission denied"),
        (("encode", "a.png", "-o", "readonly/b.mpa"), "cannot write readonly/b.mpa: Permission denied"),
        (("encode", "mine.png"), "mine.png: cannot read: Permission denied"),
        (
            ("models", "import", "--from", "upstream", "a.png", "-o", "shut/m.safetensors"),
            "shut/m.safetensors: Permission",
        ),
        (("decode", "a.png", "-o", "shut/x/"), "shut/x: Permission denied"),
    ],
)
def test_what_the_user_may_not_touch_is_one_line(
    manypath: Run, capsys: Said, arguments: tuple[str, ...], says: str
) -> None:
    save_picture(Path("a.png"))
    save_picture(Path("mine.png")).chmod(0)
    save_picture(Path("shut/b.png"))
    Path("readonly").mkdir()
    Path("readonly").chmod(0o500)
    Path("shut").chmod(0)
    try:
        assert manypath(*arguments) == ExitCode.REQUEST
    finally:
        Path("shut").chmod(0o700)
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_a_name_that_is_too_long_is_one_line(manypath: Run, capsys: Said) -> None:
    assert manypath("encode", "n" * 300) == ExitCode.REQUEST
    assert "File name too long" in capsys.readouterr().err
