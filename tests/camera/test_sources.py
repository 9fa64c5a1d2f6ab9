"""Frames come from real servers, and come again after whatever happens to these."""

import base64
import io
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from manypath_camera.errors import ConfigurationError, SourceError
from manypath_camera.frames import Captured, NewestFrame
from manypath_camera.sources.files import FolderSource
from manypath_camera.sources.source import without_password
from manypath_camera.supervisor import Supervisor
from tests.camera.reading import some, source
from tests.camera.waiting import wait_for


def jpeg(number=0, size=(64, 48)):
    file = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), number % 256, np.uint8)).save(file, "JPEG")
    return file.getvalue()


class Web:
    """A camera's web server: /snapshot.jpg, /video (MJPEG), with a password where one is given."""

    def __init__(self, password=""):
        web = self
        self.asked = 0
        self.silent = False

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                web.asked += 1
                expected = "Basic " + base64.b64encode(f"joe:{password}".encode()).decode()
                if password and self.headers.get("Authorization") != expected:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif self.path == "/snapshot.jpg":
                    self._give(jpeg(web.asked))
                elif self.path == "/picture":
                    self._give(b"<html>please log in</html>")
                elif self.path == "/video":
                    self._stream()
                else:
                    self.send_error(404)

            def _give(self, content):
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _stream(self):
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                pause = threading.Event()
                try:
                    for number in range(1000):
                        picture = jpeg(number)
                        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n")
                        self.wfile.write(f"Content-Length: {len(picture)}\r\n\r\n".encode() + picture + b"\r\n")
                        while pause.wait(0.02) or web.silent:
                            pause.wait(0.05)
                except OSError:
                    return  # the reader has left

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False  # closing waits for them
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_port}"

    def close(self):
        self.silent = False
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def ends():
    with ExitStack() as stack:
        yield stack


def opened(ends, thing):
    ends.callback(thing.close)
    return thing


def test_a_snapshot_address_is_asked_again_and_again_and_its_files_go_untouched(ends):
    web = opened(ends, Web())
    frames = some(f"http://{web.host}/snapshot.jpg")
    assert [frame.picture for frame in frames] == [jpeg(number) for number in (1, 2, 3)]
    assert frames[0].captured_at <= frames[1].captured_at


def test_a_wrong_password_and_no_picture_are_told_with_their_cure_and_no_password_is_shown(ends):
    web = opened(ends, Web("secret"))
    assert some(f"http://joe:secret@{web.host}/snapshot.jpg")
    with pytest.raises(SourceError, match=r"401.*password") as caught:
        some(f"http://joe:wrong@{web.host}/snapshot.jpg")
    assert "wrong" not in str(caught.value)
    open_web = opened(ends, Web())
    with pytest.raises(SourceError, match="no JPEG or PNG"):
        some(f"snapshot+http://{open_web.host}/picture")
    with pytest.raises(SourceError, match="404"):
        some(f"snapshot+http://{open_web.host}/none")
    assert without_password("rtsp://joe:secret@host/x") == "rtsp://joe:***@host/x"


@pytest.mark.parametrize("address", ["", "gopher://host", "/no/such/folder", "host:554"])
def test_what_is_no_source_is_refused_by_name(address):
    with pytest.raises(ConfigurationError, match="is no source"):
        source(address)


def test_every_file_of_a_folder_comes_once_in_order_and_goes_on_after_a_restart(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number))
    (tmp_path / "notes.txt").write_text("no picture")
    first = some(str(tmp_path))
    assert [frame.picture for frame in first] == [jpeg(number) for number in range(3)]
    (tmp_path / "3.jpg").write_bytes(jpeg(3))
    again = FolderSource(tmp_path, after="delete")
    again.go_on_after(first[1].name)
    ended = threading.Event()
    frames = again.frames(ended)
    found = [next(frames), next(frames)]
    ended.set()
    frames.close()
    assert [frame.picture for frame in found] == [jpeg(2), jpeg(3)]
    again.safe(found[0].name)
    assert not (tmp_path / "2.jpg").exists()


def test_the_slot_holds_the_newest_frame_only_and_counts_the_others():
    slot = NewestFrame()
    for number in range(5):
        slot.put(Captured(jpeg(number)))
    assert slot.take(1).picture == jpeg(4)
    assert slot.take(0.01) is None
    assert (slot.arrived, slot.skipped) == (5, 4)


av = pytest.importorskip("av", reason="PyAV is not installed; install the extra 'camera'")


def test_mjpeg_over_http_passes_the_camera_s_own_files(ends):
    web = opened(ends, Web())
    frames = some(f"http://{web.host}/video", 4)
    assert all(frame.picture in {jpeg(number) for number in range(50)} for frame in frames)


def test_a_test_source_of_ffmpeg_stands_in_for_a_device():
    frames = some("lavfi:testsrc=size=96x64:rate=10", 2)
    assert frames[0].picture.shape == (64, 96, 3)
    assert frames[1].source_seconds == pytest.approx(0.1)
    with pytest.raises(SourceError, match="video99"):
        some("/dev/video99")


def test_a_video_file_is_played_at_its_own_speed_again_and_again(tmp_path):
    path = tmp_path / "film.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    slot = NewestFrame()
    supervisor = Supervisor("film", source(str(path)), slot, silence_seconds=None, first_backoff_seconds=0.02)
    try:
        wait_for(lambda: slot.arrived >= 12)
        assert supervisor.reconnects >= 1
    finally:
        supervisor.stop()


def test_the_watchdog_leaves_a_reader_behind_that_hangs_and_begins_anew():
    class Hanging:
        lossless = False
        attempts = 0

        def frames(self, ended):
            Hanging.attempts += 1
            yield Captured(jpeg(Hanging.attempts))
            hung.wait(60)  # as a library that does not come back
            yield Captured(jpeg(99))

    hung = threading.Event()
    slot = NewestFrame()
    supervisor = Supervisor("gate", Hanging(), slot, silence_seconds=0.2, first_backoff_seconds=0.02)
    try:
        wait_for(lambda: Hanging.attempts == 3)
        assert "no frame for" in supervisor.last_error
        hung.set()
        wait_for(lambda: Hanging.attempts > 3)  # no more than three are left behind at once
    finally:
        hung.set()
        supervisor.stop()
