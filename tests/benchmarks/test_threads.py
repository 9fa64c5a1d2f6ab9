import json
import pathlib

import pytest
from PIL import Image

from benchmarks.picture import photo_like
from benchmarks.threads import Measured, Setting, beside, environment, main, settings, to_markdown
from manypath_lab.machine import Machine

MACHINE = Machine("A CPU", 2, True, "", "2.13", 0.1)


def test_one_thread_waits_for_nobody_and_two_are_tried_in_every_way() -> None:
    every = settings([1, 2], [0, 2])
    assert len(every) == len(set(every)) == 8
    assert [own.way for own in every if own.threads == 1] == ["sleep", "sleep"]


def test_a_turn_has_its_own_way_of_waiting_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    asleep, spinning = (environment(Setting(2, way, 0)) for way in ("sleep", "spin 20000 times"))
    assert "GOMP_SPINCOUNT" not in asleep
    assert asleep["OMP_WAIT_POLICY"] == spinning["OMP_WAIT_POLICY"] == "PASSIVE"
    assert (spinning["GOMP_SPINCOUNT"], spinning["OMP_NUM_THREADS"]) == ("20000", "2")


def test_neighbours_compute_while_the_block_runs_and_are_gone_after_it() -> None:
    with beside(2) as running:
        assert [process.poll() for process in running] == [None, None]
    assert all(process.returncode is not None for process in running)


def test_the_table_divides_by_one_thread_beside_as_many_neighbours() -> None:
    found = [
        Measured(Setting(1, "sleep", 0), 40.0, 60.0),
        Measured(Setting(2, "spin 20000 times", 0), 20.0, 40.0),
        Measured(Setting(1, "sleep", 2), 80.0, 90.0),
        Measured(Setting(2, "sleep", 2), 160.0, 90.0),
    ]
    text = to_markdown(found, MACHINE, "bfloat16")
    assert "| nobody | 2 | spin 20000 times | 20.0 | 40.0 | 2.00, 1.50 |" in text
    assert "| 2 busy processes | 2 | sleep | 160.0 | 90.0 | 0.50, 1.00 |" in text
    assert "NOT QUIET" in to_markdown(found, MACHINE._replace(load=2.0), "bfloat16")


def test_the_command_measures_and_writes_what_it_prints(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo_like(64, 64)).save(tmp_path / "picture.png")
    few = ["--picture", str(tmp_path / "picture.png"), "--threads", "1", "--neighbours", "0"]
    assert main([*few, "--rounds", "1", "--repeats", "1", "--output", str(tmp_path / "found.json")]) == 0
    (row,) = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert row["encode_ms"] > 0
    assert "| nobody | 1 | - |" in capsys.readouterr().out
