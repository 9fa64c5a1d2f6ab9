"""Cameras of other people's making: GStreamer's RTSP server and ipycam, which speaks RTSP, MJPEG and snapshots.

GStreamer's comes from Debian (.ci/apt-packages); ipycam lives in an environment that
`python tests/camera/peers/install.py` makes. Where one is missing, its tests skip and say so.
"""

from __future__ import annotations

import io
import os
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manypath_camera.errors import SourceError
from manypath_camera.frames import NewestFrame
from manypath_camera.preparation import read_frame
from manypath_camera.supervisor import CameraState, Supervisor
from tests.camera import gstreamer
from tests.camera.peer_process import PeerProcess
from tests.camera.peers.install import DEFAULT_FOLDER
from tests.camera.reading import read_until, some, source
from tests.camera.waiting import wait_for

pytest.importorskip("av", reason="PyAV is not installed: pip install 'manypath[camera]'")

NO_GSTREAMER = gstreamer.why_not()
rtsp = pytest.mark.skipif(bool(NO_GSTREAMER), reason=NO_GSTREAMER or "there is one")
GREYS = range(20, 221, 40)  # of ipycam's pictures, see its server.py
WAYS = {
    "snapshot": "http://{login}127.0.0.1:{0}/snapshot.jpg",
    "mjpeg": "http://{login}127.0.0.1:{0}/stream.mjpeg",
    "rtsp": "rtsp://127.0.0.1:{1}/video_main",
}


class Ipycam(PeerProcess):
    """The camera ipycam."""

    def __init__(self, *login: str) -> None:
        python = Path(os.environ.get("MANYPATH_TEST_CAMERA_PEERS", DEFAULT_FOLDER)) / "bin" / "python"
        if not python.exists():
            pytest.skip(f"{python} is missing; python tests/camera/peers/install.py makes it")
        script = Path(__file__).parent / "peers" / "server.py"
        super().__init__([python, "-W", "ignore", script], [0, 0], login)

    def address(self, way: str, login: str = "") -> str:
        return WAYS[way].format(*self.ports, login=login)


@pytest.fixture
def ends():
    with ExitStack() as stack:
        yield stack


def opened(ends, thing):
    ends.callback(thing.close)
    return thing


def size(frame):
    return read_frame(frame.picture).shape[1::-1]


@rtsp
@pytest.mark.parametrize("path", ["h264", "mjpeg"])
def test_frames_come_by_rtsp(ends, path):
    server = opened(ends, gstreamer.RtspServer())
    frames = some(f"rtsp://127.0.0.1:{server.port}/{path}")
    if path == "mjpeg":
        assert all(isinstance(frame.picture, bytes) for frame in frames)
        assert Image.open(io.BytesIO(frames[0].picture)).size == (640, 360)
    else:  # every fifth frame is a key frame, of ten a second
        assert frames[0].picture.shape == (360, 640, 3)
        assert frames[2].source_seconds - frames[1].source_seconds == pytest.approx(0.5, abs=0.02)


@rtsp
@pytest.mark.parametrize("path", ["h264-resized", "mjpeg-resized"])
@pytest.mark.parametrize("key_frames", [True, False])
def test_another_size_in_the_middle_of_the_stream_is_taken_as_it_comes(ends, path, key_frames):
    server = opened(ends, gstreamer.RtspServer())
    seen = []

    def enough(frame):
        if not seen or seen[-1] != size(frame):
            seen.append(size(frame))
        return len(seen) == 4

    frames = read_until(f"rtsp://127.0.0.1:{server.port}/{path}", enough, key_frames=key_frames)
    assert set(seen) == {(320, 176), (480, 360)}, "it changes and changes back, on one connection"
    seconds = [frame.source_seconds for frame in frames]
    assert seconds == sorted(seconds)


@rtsp
def test_a_wrong_password_an_unknown_path_and_no_server_are_told_apart(ends):
    server = opened(ends, gstreamer.RtspServer(0, "joe", "secret"))
    assert some(f"rtsp://joe:secret@127.0.0.1:{server.port}/mjpeg", 1)
    with pytest.raises(SourceError, match=r"401.*password"):
        some(f"rtsp://joe:wrong@127.0.0.1:{server.port}/mjpeg")
    with pytest.raises(SourceError, match="404"):
        some(f"rtsp://joe:secret@127.0.0.1:{server.port}/none")
    with pytest.raises(SourceError, match="refused"):
        some("rtsp://127.0.0.1:1/mjpeg")


@pytest.mark.parametrize("way", list(WAYS))
def test_ipycam_shows_what_it_shows_whichever_way_it_is_read(ends, way):
    camera = opened(ends, Ipycam())
    seen: set[int] = set()

    def enough(frame):
        image = read_frame(frame.picture)
        assert image.shape == (240, 320, 3)
        assert np.ptp(image) <= 4, "a flat picture"
        seen.add(min(GREYS, key=lambda grey: abs(grey - float(image.mean()))))
        assert min(abs(grey - float(image.mean())) for grey in GREYS) <= 4
        return len(seen) == 3

    frames = read_until(camera.address(way), enough)
    if way != "rtsp":  # the camera's own files
        assert all(isinstance(frame.picture, bytes) for frame in frames)


def test_ipycams_password_is_asked_for_and_its_paths_are_told_apart(ends):
    camera = opened(ends, Ipycam("joe", "secret"))
    for way in ("snapshot", "mjpeg"):
        assert some(camera.address(way, "joe:secret@"), 1)
        with pytest.raises(SourceError, match=r"401.*password") as caught:
            some(camera.address(way, "joe:wrong@"), 1)
        assert "wrong" not in str(caught.value)
        with pytest.raises(SourceError, match="404"):
            some(camera.address(way, "joe:secret@").replace("snapshot.jpg", "none.jpg").replace("stream", "none"), 1)
    with pytest.raises(SourceError, match="404"):
        some(camera.address("rtsp").replace("video_main", "none"))


def test_the_snapshot_that_ipycam_names_by_onvif_is_a_source(ends):
    camera = opened(ends, Ipycam())
    body = (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
        b'<GetSnapshotUri xmlns="http://www.onvif.org/ver10/media/wsdl"/></s:Body></s:Envelope>'
    )
    request = urllib.request.Request(f"http://127.0.0.1:{camera.ports[0]}/onvif/media_service", body)
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
        told = response.read().decode()
    address = told.partition("<tt:Uri>")[2].partition("</tt:Uri>")[0]
    assert some(address, 1)[0].picture.startswith(b"\xff\xd8")


@pytest.mark.parametrize("kind", ["gstreamer h264", "gstreamer mjpeg", *(f"ipycam {way}" for way in WAYS)])
def test_a_camera_that_is_frozen_killed_and_started_again_comes_back_by_itself(ends, kind):
    maker, way = kind.split()
    if maker == "ipycam":
        server = opened(ends, Ipycam())
        address = server.address(way)
    elif NO_GSTREAMER:
        pytest.skip(NO_GSTREAMER)
    else:
        server = opened(ends, gstreamer.RtspServer())
        address = f"rtsp://127.0.0.1:{server.port}/{way}"
    slot = NewestFrame()
    supervisor = Supervisor(
        "gate",
        source(address, timeout_seconds=2.0),
        slot,
        silence_seconds=6.0,
        first_backoff_seconds=0.1,
        longest_backoff_seconds=0.5,
    )
    ends.callback(supervisor.stop)

    def comes():
        before = slot.arrived
        wait_for(lambda: slot.arrived > before + 3, 60)
        wait_for(lambda: supervisor.state is CameraState.LIVE)

    comes()
    server.freeze()
    wait_for(lambda: supervisor.state is CameraState.WAITING, 60)
    server.thaw()
    comes()
    server.kill()
    wait_for(lambda: "refused" in supervisor.last_error, 60)
    server.again()
    comes()
    assert supervisor.reconnects >= 2
