"""A file of cameras says what it means, and every mistake in it is named."""

import pytest

from manypath.rate import Rate
from manypath_camera.configuration import WatchedFile, read_configuration
from manypath_camera.errors import ConfigurationError
from manypath_camera.retention import Policy

WHOLE = """
encoder: edge:50051
rate: {daily_quota: 500 MB}
spool: {max_bytes: 2GiB, policy: thin, max_age_hours: 24}
tasks: [classification]
cameras:
  gate:
    source: rtsp://user:word@10.0.0.5/stream
    every: 2
    on_change: 0.02
    masks: [[[0, 0], [0.3, 0], [0.3, 0.25]]]
  yard: {source: "demo:", rate: {quality: 5, effort: 3}}
"""


def test_a_whole_file_is_read():
    configuration = read_configuration(WHOLE, "cameras.yaml")
    assert configuration.rate.daily_quota == 500_000_000
    assert configuration.spool.limits().max_bytes == 2 * 2**30
    assert configuration.spool.limits().policy is Policy.THIN
    assert configuration.cameras["gate"].masks == (((0.0, 0.0), (0.3, 0.0), (0.3, 0.25)),)
    assert configuration.cameras["yard"].rate.quality == 5
    assert (configuration.rate.effort, configuration.cameras["yard"].rate.effort) == (0, Rate.MOST_EFFORT)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[", "no YAML"),
        ("- a", "must hold names"),
        ("camras: {}", "camras"),
        ("cameras: {gate: {}}", "source"),
        ("cameras: {'a b': {source: x}}", "1..64 letters"),
        ("cameras: {gate: {source: x, turn: 45}}", "turn is 0, 90, 180 or 270"),
        ("cameras: {gate: {source: x, rate: {quality: 4, bpp: 1}}}", "exactly one of"),
        ("rate: {quality: 9}", "quality"),
        ("rate: {effort: 1}", "exactly one of"),
        (f"rate: {{quality: 4, effort: {Rate.MOST_EFFORT + 1}}}", "effort"),
        ("rate: {daily_quota: lots}", "daily_quota"),
        ("cameras: {gate: {source: x, masks: [[[0, 0], [1, 1]]]}}", "three points"),
        ("cameras: {gate: {source: x, crop: [0.5, 0, 0.2, 1]}}", "left < right"),
        ("cameras: {gate: {source: x, every: 0}}", "every"),
        ("spool: {policy: everything}", "policy"),
        ("cameras: {" + ", ".join(f"c{number}: {{source: x}}" for number in range(65)) + "}", "at most 64"),
    ],
)
def test_every_mistake_is_named(content, told):
    with pytest.raises(ConfigurationError, match=told.replace(".", r"\.")) as caught:
        read_configuration(content, "cameras.yaml")
    assert "cameras.yaml" in str(caught.value)


def test_a_watched_file_tells_when_it_changed(tmp_path):
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras: {}")
    watched = WatchedFile(path)
    watched.read()
    assert not watched.changed()
    path.write_text("cameras: {gate: {source: 'demo:'}}")
    assert watched.changed()
    assert set(watched.read().cameras) == {"gate"}
    path.unlink()
    assert not watched.changed()  # an editor is replacing it
    with pytest.raises(ConfigurationError, match="cannot read"):
        watched.read()
