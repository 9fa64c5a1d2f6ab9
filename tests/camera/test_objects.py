"""Frames with chosen things are sent, and those shortly after; the rest is not; by a real detector."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manypath_camera.agent import CameraClient
from manypath_camera.camera import Outcome
from manypath_camera.configuration import read_configuration
from manypath_camera.errors import ConfigurationError
from manypath_camera.objects import EdgeDetector, ObjectFilter, Wish
from manypath_cli.camera import _configuration, add_parser
from manypath_lab.detector.export import export_detector
from tests.camera.waiting import wait_for
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


def test_a_camera_of_the_file_sends_only_what_shows_its_objects(
    installed: Path, people: np.ndarray, tmp_path: Path
) -> None:
    """A folder of five pictures, two with people; a second camera asks for what the detector does not know."""
    frames = tmp_path / "frames"
    frames.mkdir()
    empty = np.full_like(people, 90)
    for number, image in enumerate((empty, people, empty, empty, people)):
        Image.fromarray(image).save(frames / f"{number}.png")
    text = f"""
detector: {installed}
cameras:
  gate: {{source: {frames}, objects: {{classes: [person], linger: 0}}}}
  yard: {{source: {frames}, objects: {{classes: [tram]}}}}
"""
    configuration = read_configuration(text, "cameras.yaml")
    client = CameraClient(tmp_path / "spool", configuration, lambda _: pytest.fail("nothing is sent in this test"))
    try:
        client.apply(configuration)
        assert list(client.cameras) == ["gate"]
        outcomes = client.cameras["gate"].outcomes
        wait_for(lambda: sum(outcomes.values()) == 5)
        assert (outcomes[Outcome.TAKEN], outcomes[Outcome.FILTERED]) == (2, 3)
        assert client.spool.items == 2
    finally:
        client.close()


def test_the_command_line_names_objects_of_its_one_camera() -> None:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    given = parser.parse_args(["camera", "--source", "frames", "--object", "person", "--object", "dog"])
    configuration, watched = _configuration(given)
    objects = configuration.cameras["camera"].objects
    assert watched is None
    assert objects is not None
    assert objects.classes == ("person", "dog")


def test_objects_without_a_class_are_refused_with_the_place_in_the_file() -> None:
    with pytest.raises(ConfigurationError, match=r"cameras\.gate\.objects\.classes"):
        read_configuration("cameras: {gate: {source: frames, objects: {classes: []}}}", "cameras.yaml")
