import csv
import io
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from benchmarks.picture import photo_like
from benchmarks.speed import table
from benchmarks.speed.__main__ import parse, remarks
from benchmarks.speed.chart import draw, save_chart
from benchmarks.speed.plan import Timing, plan, run_rounds, run_worker, summarise, variants
from benchmarks.speed.subjects import CLASSICAL, LEARNED, OURS, Subject, Variant, make_subject
from benchmarks.speed.worker import Direction, Result, Task, clock_calls, from_json, to_json
from manypath_lab.machine import Machine

MACHINE = Machine("A CPU", 2, False, "", "2.13", 0.1)


def timing(subject: str, encode: float, decode: float, variant: str = "fp32", threads: int = 2) -> Timing:
    stages = {"analysis": encode / 2, "coding": 1.0} if subject in OURS else {}
    return Timing(subject, variant, threads, "cpu", 1, "768x512", encode, decode, stages, {}, 3, 999, "")


TIMINGS = [
    timing("edge", 100.0, 80.0),
    timing("edge", 50.0, 90.0, "bf16"),
    timing("bmshj2018-hyperprior", 200.0, 300.0),
    timing("avif", 150.0, 10.0, ""),
]


def task(subject: str, picture: pathlib.Path, **changes: object) -> Task:
    usual = Task(subject, "float32", False, 1, "cpu", 1, str(picture), 2, 5.0)
    return usual._replace(**changes)


@pytest.fixture
def picture(tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "picture.npy"
    np.save(file, photo_like(96, 128))
    return file


class StubbornSubject(Subject):
    """Something to time that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def encode(self, images: object) -> int:
        self.calls += 1
        return self.calls

    def decode(self, encoded: object) -> list[np.ndarray]:
        return []

    def size(self, encoded: object) -> int:
        return 0


def test_the_first_call_only_warms_up_and_its_output_is_handed_on() -> None:
    subject = StubbornSubject()
    direction, output = clock_calls(lambda: subject.encode([]), subject, repeats=3, budget=5.0)
    assert (subject.calls, len(direction.seconds), output) == (4, 3, 1)


def test_a_first_call_beyond_the_budget_is_the_only_sample() -> None:
    subject = StubbornSubject()
    direction, _ = clock_calls(lambda: subject.encode([]), subject, repeats=3, budget=0.0)
    assert (subject.calls, len(direction.seconds)) == (1, 1)


def test_a_worker_times_our_codec_in_a_process_of_its_own(picture: pathlib.Path) -> None:
    result = run_worker(task("tiny", picture))
    assert len(result.encode.seconds) == len(result.decode.seconds) == 2
    assert set(result.encode.stages) == {"analysis", "entropy_parameters", "coding"}
    assert set(result.decode.stages) == {"entropy_parameters", "coding", "synthesis"}
    assert sum(result.encode.stages.values()) <= sum(result.encode.seconds) / 2
    assert result.bytes > 24
    assert from_json(to_json(result)) == result


def test_a_worker_that_fails_is_named_with_its_last_words(picture: pathlib.Path) -> None:
    timings, failures = run_rounds([task("flif", picture)], 2, "128x96", lambda _: None)
    assert timings == []
    assert len(failures) == 1
    assert failures[0].startswith("flif (float32, 1 threads, cpu)")
    assert failures[0].endswith("KeyError: 'flif'")


@pytest.mark.parametrize("name", ["avif", "bmshj2018-hyperprior"])
def test_a_baseline_returns_a_picture_of_the_size_it_was_given(name: str) -> None:
    subject = make_subject(name, Variant(channels_last=name in LEARNED), threads=1, device="cpu")
    image = photo_like(72, 100)
    encoded = subject.encode([image])
    (restored,) = subject.decode(encoded)
    assert (restored.shape, restored.dtype) == (image.shape, np.uint8)
    assert subject.size(encoded) > 0
    assert subject.stages() == {}


def test_bf16_is_tried_only_where_the_processor_has_it() -> None:
    assert [str(v) for v in variants("edge", bf16=False)] == ["fp32"]
    assert [str(v) for v in variants("edge", bf16=True)] == ["fp32", "bf16"]
    assert [str(v) for v in variants("mbt2018-mean", bf16=True)] == [
        *("fp32", "fp32 channels-last", "bf16 channels-last"),
    ]
    assert len(variants("vvc", bf16=True)) == 1


def test_a_plan_holds_every_subject_with_every_number_of_threads(picture: pathlib.Path) -> None:
    tasks = plan(["edge", "avif"], [1, 2], picture, bf16=True, repeats=1, budget=1.0)
    assert [(one.subject, one.dtype, one.threads) for one in tasks] == [
        *(("edge", "float32", 1), ("edge", "bfloat16", 1), ("avif", "float32", 1)),
        *(("edge", "float32", 2), ("edge", "bfloat16", 2), ("avif", "float32", 2)),
    ]


def test_a_figure_is_the_median_of_all_rounds_per_picture(picture: pathlib.Path) -> None:
    rounds = [
        Result(Direction(seconds, {"coding": stage}), Direction([0.4], {}), 100, "")
        for seconds, stage in (([0.2, 0.9], 0.02), ([0.4], 0.04), ([0.3, 0.5], 0.06))
    ]
    found = summarise(task("edge", picture, batch=4), rounds, "128x96")
    assert found.encode_ms == pytest.approx(100.0)
    assert found.encode_stages_ms == {"coding": pytest.approx(10.0)}
    assert found.samples == 5


def test_each_codec_counts_with_its_best_variant_in_each_direction() -> None:
    encode, decode = (table.best(TIMINGS, "edge", 2, direction) for direction in table.DIRECTIONS)
    assert encode == table.Best("edge", 50.0, "bf16")
    assert decode == table.Best("edge", 80.0, "fp32")
    assert table.best(TIMINGS, "edge", 1, "encode") is None


def test_the_report_gives_ratios_stages_and_marks_what_is_quoted() -> None:
    text = table.to_markdown(TIMINGS, MACHINE, [2], ["a remark"])
    assert "| bmshj2018-hyperprior | encode | 200.0 | fp32 | 4.00x |" in text
    assert "| bmshj2018-hyperprior | decode | 300.0 | fp32 | 3.75x |" in text
    assert "| avif | decode | 10.0 |  | 0.12x |" in text
    assert "| MPA (published) | encode | 1752.0 | bf16, quoted (fp32: 2744) | 35.04x |" in text
    assert "is quoted, not measured" in text
    assert "| edge | cpu | 2 | 1 | bf16 | encode | 25.0 |  | 1.0 |  | 50.0 |" in text
    assert "- a remark" in text


def test_each_variant_of_ours_stands_against_its_bars() -> None:
    lines = table.bar_table(TIMINGS, 2)
    assert "| fp32 | bmshj2018-hyperprior fp32 | encode | 2.00x | 2.5x | missed |" in lines
    assert "| bf16 | bmshj2018-hyperprior fp32 | encode | 4.00x | 2.5x | met |" in lines
    assert "| bf16 | bmshj2018-hyperprior fp32 | decode | 3.33x | 2.5x | met |" in lines
    assert "| bf16 | avif | encode | 3.00x | 3x | met |" in lines
    assert not any("avif | decode" in line for line in lines)
    assert lines[2] in table.to_markdown(TIMINGS, MACHINE, [2], [])
    assert table.bar_table(TIMINGS, 1) == []


def test_a_single_thread_is_not_compared_with_what_is_quoted_for_two() -> None:
    assert not any("MPA" in line for line in table.ratio_table([timing("edge", 9.0, 9.0, threads=1)], 1))


def test_csv_and_json_hold_every_timing() -> None:
    rows = list(csv.DictReader(io.StringIO(table.to_csv(TIMINGS))))
    assert [(row["subject"], float(row["encode_ms"])) for row in rows] == [
        *(("edge", 100.0), ("edge", 50.0), ("bmshj2018-hyperprior", 200.0), ("avif", 150.0)),
    ]
    assert rows[0]["encode_analysis_ms"] == "50.000"
    content = json.loads(table.to_json(TIMINGS, MACHINE, ["a remark"]))
    assert len(content["timings"]) == 4
    assert content["machine"]["cpus"] == 2


def test_the_chart_has_a_bar_per_codec_as_long_as_its_time_the_fastest_first(tmp_path: pathlib.Path) -> None:
    for axes, direction in zip(draw(TIMINGS, MACHINE, 2).axes, table.DIRECTIONS, strict=True):
        names = [label.get_text() for label in axes.get_yticklabels()]
        lengths = [bar.get_width() for bar in axes.patches]
        assert lengths == sorted(lengths)
        assert lengths[names.index("edge")] == table.best(TIMINGS, "edge", 2, direction).ms
        assert len(names) == len(set(names)) == len(lengths)
    save_chart(TIMINGS, MACHINE, 2, tmp_path / "speed.png")
    with Image.open(tmp_path / "speed.png") as image:
        assert image.size == (1800, 840)


def test_a_noisy_machine_is_said_to_be_one() -> None:
    told = remarks(MACHINE._replace(load=2.0, cpus=1), [1, 2])
    assert any(remark.startswith("NOT QUIET") for remark in told)
    assert any("only 1 CPU" in remark for remark in told)
    assert any("no bf16 units" in remark for remark in told)
    assert remarks(MACHINE._replace(bf16=True), [1, 2]) == []


def test_the_command_knows_all_subjects_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse([]).subjects == [*OURS, *LEARNED, *CLASSICAL]
    with pytest.raises(SystemExit):
        parse(["--subjects", "edge,flif"])
    assert "got 'flif'" in capsys.readouterr().err
