"""Inputs and -o: which file becomes which."""

from __future__ import annotations

from pathlib import Path

import pytest

from manypath_cli.exits import FileError, UsageError
from manypath_cli.jobs import Job, plan

READS = (".jpg", ".png")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.png", "notes.txt", "trip/c.JPG", "trip/day2/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def pairs(inputs: list[str], output: str | None = None, *, force: bool = False) -> dict[str, str]:
    jobs = plan(inputs, output, reads=READS, writes=".mpa", force=force).jobs
    return {str(job.source or "-"): str(job.target or "-") for job in jobs}


def test_without_an_output_each_file_gets_a_neighbour() -> None:
    assert pairs(["a.jpg", "trip/c.JPG"]) == {"a.jpg": "a.mpa", "trip/c.JPG": "trip/c.mpa"}


def test_one_file_becomes_the_file_that_is_named() -> None:
    assert pairs(["a.jpg"], "new/name.mpa") == {"a.jpg": "new/name.mpa"}


def test_an_existing_folder_or_a_trailing_slash_takes_the_file_in() -> None:
    assert pairs(["a.jpg"], "trip") == {"a.jpg": "trip/a.mpa"}
    assert pairs(["a.jpg"], "new/") == {"a.jpg": "new/a.mpa"}


def test_a_folder_keeps_its_shape_and_leaves_other_files_alone() -> None:
    assert pairs(["trip"], "out") == {"trip/c.JPG": "out/c.mpa", "trip/day2/d.png": "out/day2/d.mpa"}


def test_a_quoted_glob_is_expanded_and_crosses_folders() -> None:
    assert pairs(["**/*.png"], "out") == {"b.png": "out/b.mpa", "trip/day2/d.png": "out/d.mpa"}


def test_a_file_whose_name_looks_like_a_glob_is_that_file(folder: Path) -> None:
    (folder / "[a].jpg").write_bytes(b"x")
    assert pairs(["[a].jpg"]) == {"[a].jpg": "[a].mpa"}


def test_a_file_that_is_named_twice_is_done_once() -> None:
    assert pairs(["a.jpg", "*.jpg"], "out") == {"a.jpg": "out/a.mpa"}


def test_stdin_goes_to_stdout_unless_a_file_is_named() -> None:
    assert pairs(["-"]) == {"-": "-"}
    assert pairs(["-"], "x.mpa") == {"-": "x.mpa"}
    assert pairs(["a.jpg"], "-") == {"a.jpg": "-"}


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        (["-", "a.jpg"], None, "cannot be mixed"),
        (["a.jpg", "b.png"], "-", "only one file can go to stdout"),
        (["a.jpg"], "name.jpg", "must end in .mpa"),
        (["a.jpg", "b.png"], "notes.txt", "must name a folder"),
        (["-"], "x.png", "must end in .mpa"),
    ],
)
def test_inputs_and_output_that_do_not_fit_are_a_usage_error(
    inputs: list[str], output: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        pairs(inputs, output)


def test_names_that_would_clash_keep_their_suffix(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"x")
    (folder / "a.jpg.png").write_bytes(b"x")
    assert pairs(["a.jpg", "a.png", "b.png"], "out") == {
        "a.jpg": "out/a.jpg.mpa",
        "a.png": "out/a.png.mpa",
        "b.png": "out/b.mpa",
    }
    assert pairs(["a.jpg", "a.png", "a.jpg.png"], "out")["a.jpg.png"] == "out/a.jpg.png.mpa"


def test_only_a_known_suffix_is_replaced(folder: Path) -> None:
    for name in ("cam.0001", "cam.0002", "cam1.2024-05-01T10.00.00"):
        (folder / name).write_bytes(b"x")
    assert pairs(["cam*"], "out") == {
        "cam.0001": "out/cam.0001.mpa",
        "cam.0002": "out/cam.0002.mpa",
        "cam1.2024-05-01T10.00.00": "out/cam1.2024-05-01T10.00.00.mpa",
    }


def test_two_files_of_one_name_that_would_become_one_are_a_usage_error(folder: Path) -> None:
    (folder / "trip" / "a.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"would both become out/a\.jpg\.mpa; give the folder"):
        pairs(["a.jpg", "trip/a.jpg"], "out")


def test_an_existing_file_is_only_overwritten_by_force(folder: Path) -> None:
    (folder / "a.mpa").write_bytes(b"precious")
    with pytest.raises(UsageError, match="--force"):
        pairs(["a.jpg", "b.png"])
    assert pairs(["a.jpg"], force=True) == {"a.jpg": "a.mpa"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["missing.jpg"], "missing.jpg does not exist"),
        (["*.webp"], "matches no file"),
        (["empty"], "holds no .jpg, .png file"),
    ],
)
def test_inputs_that_are_not_there_are_a_file_error(folder: Path, inputs: list[str], message: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(FileError, match=message):
        pairs(inputs)


def test_a_target_is_written_whole_or_not_at_all(folder: Path) -> None:
    job = Job(None, folder / "deep" / "er" / "x.mpa")
    job.write(b"one")
    job.write(b"two")
    assert (folder / "deep" / "er" / "x.mpa").read_bytes() == b"two"
    assert [file.name for file in (folder / "deep" / "er").iterdir()] == ["x.mpa"]
    with pytest.raises(FileError, match="cannot write"):
        Job(None, folder / "a.jpg" / "x.mpa").write(b"a file is no folder")
