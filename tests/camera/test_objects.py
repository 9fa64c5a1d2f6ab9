"""Frames with chosen things are sent, and those shortly after; the rest is not; by a real detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from manypath_camera.errors import ConfigurationError
from manypath_camera.objects import EdgeDetector, ObjectFilter, Wish
from manypath_lab.detector.export import export_detector
from tests.detector.conftest import REFERENCE
from tests.worker.models import boxes_graph, colours_graph, write_model


class Clock:
    """A clock that stands still until it is told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANYPATH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return export_detector().folder


@pytest.fixture(scope="module")
def people() -> np.ndarray:
    with np.load(REFERENCE) as file:
        return file["img0_rgb"]


def test_a_frame_with_people_is_wanted_and_an_empty_one_is_not(installed: Path, people: np.ndarray) -> None:
    detector = EdgeDetector(installed)
    assert detector.best_scores(people)["person"] > 0.7
    wishes = {"gate": Wish(("person",), linger_seconds=0.0), "yard": Wish(("train",), 0.6)}
    chosen = ObjectFilter(detector, wishes, Clock())
    assert chosen.wants("gate", people)
    assert not chosen.wants("gate", np.full((120, 160, 3), 90, np.uint8))
    assert not chosen.wants("yard", people)
    assert chosen.wants("a camera without a wish", np.zeros((8, 8, 3), np.uint8))


def test_frames_shortly_after_what_was_seen_belong_to_it_on_the_same_camera_alone(tmp_path: Path) -> None:
    """The made detector is as sure of "all" as the picture is light."""
    folder = write_model(tmp_path / "light", boxes_graph(), labels=["all", "square", "strip"], task="detection")
    light, dark = np.full((20, 20, 3), 200, np.uint8), np.full((20, 20, 3), 20, np.uint8)
    clock = Clock()
    wish = Wish(("all",), 0.5, linger_seconds=2.0)
    chosen = ObjectFilter(EdgeDetector(folder), {"gate": wish, "yard": wish}, clock)
    assert not chosen.wants("gate", dark)
    assert chosen.wants("gate", light)
    clock.now += 1.5
    assert chosen.wants("gate", dark)
    assert not chosen.wants("yard", dark)
    clock.now += 1.0
    assert not chosen.wants("gate", dark)


def test_what_cannot_be_a_detector_or_a_class_is_named(tmp_path: Path, installed: Path) -> None:
    with pytest.raises(ConfigurationError, match="manypath lab detector install"):
        EdgeDetector(tmp_path)
    with pytest.raises(ConfigurationError, match="must take image and give scores, classes, count"):
        EdgeDetector(write_model(tmp_path / "colours", colours_graph(), labels=["red", "green", "blue"]))
    with pytest.raises(ConfigurationError, match=r"some of person, bicycle, .*; got tram$"):
        ObjectFilter(EdgeDetector(installed), {"gate": Wish(("person", "tram"))}, Clock())
    with pytest.raises(ConfigurationError, match="got none"):
        ObjectFilter(EdgeDetector(installed), {"gate": Wish(())}, Clock())
    folder = write_model(tmp_path / "torn", boxes_graph(), labels=["all", "square", "strip"], task="detection")
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-1])
    with pytest.raises(ConfigurationError, match=r"model\.onnx is not the file that model\.json describes"):
        EdgeDetector(folder)
