"""The cameras' page, fed as real cameras feed it: a spool, a sender, a decoder that keeps the newest of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from manypath.codec import Codec
from manypath_api.v1 import codec_pb2 as pb
from manypath_services.console.cameras import Sighting
from tests.camera.edge import Edge
from tests.console.conftest import MODEL, SECONDS, opened
from tests.console.test_http import pixels_of
from tests.services.serving import Running, photo

LOOK = pb.FrameWishes(tasks=[pb.TaskRequest(task_name="classification"), pb.TaskRequest(task_name="segmentation")])


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec.load(MODEL)


@pytest.fixture
def edge(loop, site, tmp_path) -> Iterator[Edge]:
    edge = Edge(loop, tmp_path / "spool", site.decoder.target, pictures=False)
    yield edge
    edge.close()


def scenes(url: str) -> Iterator[dict]:
    with httpx.stream("GET", f"{url}/cameras/events", timeout=SECONDS) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def camera_of(url: str, name: str, sequence: int) -> dict:
    """What the page is told of a frame, as soon as it is told."""
    for scene in scenes(url):
        for camera in scene["cameras"]:
            if (camera["name"], camera["sequence"]) == (name, sequence):
                return camera
    raise AssertionError("the events ended")


def test_a_camera_s_newest_frame_is_told_and_shown_along_the_path_that_is_chosen(site, edge, codec) -> None:
    stream = codec.encode(photo(80, 120), quality=3)
    sequence = edge.put_bitstream(stream, camera="yard", wishes=LOOK)
    told = camera_of(site.url, "yard", sequence)
    assert told["facts"].startswith(f"{len(stream):,} bytes")
    assert re.fullmatch(r"\d\.\d s", told["age"])
    assert "1 frames a minute" in told["rate"]
    assert {answer["task"] for answer in told["answers"]} == {"classification", "segmentation"}
    assert re.search(r"(red|green|blue) \d", told["answers"][0]["words"])
    assert not told["silent"]
    for path in ("perceptual", "mse"):
        shown = httpx.get(f"{site.url}/cameras/yard/frame.png", params={"path": path}, timeout=SECONDS)
        np.testing.assert_array_equal(pixels_of(shown.content), codec.decode(stream, path=path))


def test_ten_who_look_at_one_frame_cost_one_decode(site, edge, codec) -> None:
    from concurrent.futures import ThreadPoolExecutor

    sequence = edge.put_bitstream(codec.encode(photo(64, 64), quality=2), camera="door")
    camera_of(site.url, "door", sequence)
    before = site.calls("Decode")
    with ThreadPoolExecutor(10) as threads:
        get = lambda _: httpx.get(f"{site.url}/cameras/door/frame.png", timeout=SECONDS).status_code  # noqa: E731
        assert set(threads.map(get, range(10))) == {200}
    assert site.calls("Decode") == before + 1


def test_who_comes_while_the_last_reader_leaves_is_told_too(site, edge, codec) -> None:
    first = edge.put_bitstream(codec.encode(photo(64, 64), quality=2), camera="stairs")
    for _ in range(5):  # each leaves as soon as it knows
        assert camera_of(site.url, "stairs", first)
    second = edge.put_bitstream(codec.encode(photo(64, 64), quality=2), camera="stairs")
    assert camera_of(site.url, "stairs", second)


def test_a_camera_that_nobody_knows_is_told_so(http) -> None:
    assert http.get("/cameras/nowhere/frame.png").status_code == 404
    assert http.get("/cameras/a%20b/frame.png").status_code == 400


@pytest.mark.parametrize(
    ("age", "frames", "silent"),
    [(2.0, 30, False), (9.0, 60, False), (11.0, 60, True), (60.0, 4, False), (80.0, 4, True)],
)
def test_a_camera_is_silent_when_it_misses_frames_in_a_row(age: float, frames: int, silent: bool) -> None:
    import time

    told = pb.WatchResultsResponse(camera="yard", age_seconds=age, frames_per_minute=frames)
    assert Sighting(told, time.monotonic()).silent is silent


def test_tiles_follow_their_cameras_and_an_outage_is_told_and_ends(browser, loop, own_site, codec, tmp_path) -> None:
    edge = Edge(loop, tmp_path / "spool", own_site.decoder.target, pictures=False)
    try:
        with opened(browser, own_site.url) as open_tab:
            page = open_tab("/cameras", expect_errors=True)
            expect(page.locator("#nobody")).to_be_visible()
            for name in ("yard", "gate-2"):
                edge.put_bitstream(codec.encode(photo(72, 128), quality=2), camera=name, wishes=LOOK)
            expect(page.locator(".tile")).to_have_count(2)
            expect(page.locator("#nobody")).to_be_hidden()
            tile = page.locator("[data-camera=yard]")
            expect(tile.locator("img")).to_have_js_property("naturalWidth", 128)
            expect(tile.locator("dl")).to_contain_text("segmentation")
            first = tile.locator("img").get_attribute("src")
            edge.put_bitstream(codec.encode(255 - photo(72, 128), quality=2), camera="yard", wishes=LOOK)
            expect(tile.locator("img")).not_to_have_attribute("src", first)
            page.get_by_label("Seen along the path").select_option("segmentation")
            expect(tile.locator("img")).to_have_attribute("alt", "What yard saw, along the path segmentation")
            tile.get_by_role("button", name="Larger").click()
            expect(tile).to_have_class(re.compile("large"))
            port = own_site.decoder.server.port
            own_site.decoder.close()
            expect(page.locator("#outage")).to_contain_text("The decoder at")
            expect(tile.locator("img")).to_be_visible()  # what came before stays
            own_site.decoder = Running("decoder", loop, port=port, model=MODEL)
            expect(page.locator("#outage")).to_be_empty()
    finally:
        edge.close()
