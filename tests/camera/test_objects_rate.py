"""What a frame may spend follows what a real detector sees: chosen things get the camera's rate, the rest less."""

import argparse
import json

import numpy as np
import pytest
from PIL import Image

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.budget import FixedRate, Grant, TokenBucket, no_more_than
from manypath_camera.camera import Outcome
from manypath_camera.configuration import read_configuration
from manypath_camera.errors import ConfigurationError
from manypath_cli.camera import _configuration, add_parser
from manypath_cli.exits import UsageError
from manypath_lab.detector.export import export_detector
from tests.camera.waiting import wait_for
from tests.detector.conftest import REFERENCE

SHOWN = (False, True, False, False, True, False)  # whether there are people in a frame


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANYPATH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return export_detector().folder


@pytest.fixture
def frames(tmp_path):
    """A folder of a camera's frames; those without people are as hard to encode."""
    with np.load(REFERENCE) as file:
        people = file["img0_rgb"]
    folder = tmp_path / "in"
    folder.mkdir()
    for number, shown in enumerate(SHOWN):
        Image.fromarray(people if shown else np.ascontiguousarray(people[:32].repeat(8, axis=0))).save(
            folder / f"{number}.png"
        )
    return folder


def delivered(file):
    if not file.exists():
        return []
    return sorted((json.loads(line) for line in file.read_text().splitlines()), key=lambda line: line["sequence"])


@pytest.fixture
def sent(start, run_client, tmp_path, installed, frames):
    """Sends the frames through a real encoder to a real decoder; returns what its result sink has."""

    def send(rate, otherwise):
        file = tmp_path / "results.jsonl"
        decoder = start("decoder", results_file=file)
        encoder = start("encoder", uplink=decoder.target, spool=tmp_path / "spool", spool_min_free_bytes=0)
        objects = {"classes": ["person"], "linger": 0, "min_score": 0.5, "otherwise": otherwise}
        camera = {"source": str(frames), "objects": objects, "rate": rate}
        client = run_client(encoder.target, {"gate": camera}, detector=str(installed))
        wait_for(lambda: len(delivered(file)) == len(SHOWN), 60)
        outcomes = client.cameras["gate"].outcomes
        assert (outcomes[Outcome.TAKEN], outcomes[Outcome.PLAIN]) == (SHOWN.count(True), SHOWN.count(False))
        return delivered(file)

    return send


def test_frames_with_people_get_the_cameras_quality_and_the_others_a_lower_one(sent):
    told = sent({"quality": 6}, {"quality": 1.5})
    assert [line["facts"]["quality"] for line in told] == [6 if shown else 1.5 for shown in SHOWN]


def test_of_a_quota_the_others_take_no_more_than_they_are_let_and_people_get_what_is_left(sent):
    told = sent({"daily_quota": 4_000_000}, {"max_bytes": 2000})
    for line, shown in zip(told, SHOWN, strict=True):
        # no fewer than the lowest quality needs
        assert shown or line["bytes"] <= 2000 or line["facts"]["quality"] == 1, line
    most = max(line["bytes"] for line, shown in zip(told, SHOWN, strict=True) if not shown)
    assert min(line["bytes"] for line, shown in zip(told, SHOWN, strict=True) if shown) > 2 * most


def test_a_lower_grant_leaves_the_rest_in_the_budget():
    bucket = TokenBucket.of_day(24_000_000)
    full = bucket.left
    grant = bucket.grant(0.0)
    plain = no_more_than(grant, pb.Rate(target_bpp=0.1), 80_000)
    assert plain == Grant(pb.Rate(max_bytes=1000), grant.reserved)
    assert no_more_than(grant, pb.Rate(max_bytes=10**9), 80_000) == grant, "never more than the budget gave"
    assert no_more_than(grant, pb.Rate(max_bytes=500, effort=2), 80_000).rate == pb.Rate(max_bytes=500, effort=2)
    bucket.settle(plain, 1000)
    assert full - 2000 < bucket.left < full - 1000
    quality = FixedRate(pb.Rate(quality=5)).grant(0.0)
    assert no_more_than(quality, pb.Rate(quality=1), 80_000).rate.quality == 1


@pytest.mark.parametrize(
    ("rate", "otherwise", "told"),
    [
        ("{quality: 4}", "{daily_quota: 1MB}", "a quality, max_bytes or bpp of each frame"),
        ("{daily_quota: 1MB}", "{quality: 1}", "give max_bytes or bpp"),
        ("{quality: 4}", "{quality: 9}", "less than or equal to 8"),
    ],
)
def test_what_the_others_cannot_spend_is_named(rate, otherwise, told):
    camera = f"{{source: frames, objects: {{classes: [person], otherwise: {otherwise}}}}}"
    with pytest.raises(ConfigurationError, match=told):
        read_configuration(f"rate: {rate}\ncameras: {{gate: {camera}}}", "cameras.yaml")


def test_the_command_line_says_what_the_others_get():
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    words = ["camera", "--source", "frames", "--otherwise-quality", "1"]
    configuration, _ = _configuration(parser.parse_args([*words, "--object", "person"]))
    assert configuration.cameras["camera"].objects.otherwise.quality == 1
    with pytest.raises(UsageError, match="--object"):
        _configuration(parser.parse_args(words))
