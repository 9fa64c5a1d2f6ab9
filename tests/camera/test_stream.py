"""Sessions of cameras: each frame once at the receiver, whatever ends the streams."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.retention import Reason
from manypath_camera.sender import SenderOptions
from tests.camera.edge import header
from tests.camera.waiting import wait_for
from tests.services.serving import SECONDS, as_file, photo

LOOK = pb.FrameWishes(pictures=[pb.PathRequest(path=pb.PATH_PERCEPTUAL)], answer=True)


@pytest.fixture
def lines_of(start, tmp_path):
    """Starts a decoder whose results go to a file; returns both."""

    def make(**settings):
        file = tmp_path / "results.jsonl"
        return file, start("decoder", results_file=file, **settings)

    return make


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def once_each(file, count):
    """Every frame of one session is in the file once."""
    found = [line["sequence"] for line in lines(file)]
    assert sorted(found) == sorted(set(found)), "a frame was delivered twice"
    return len(found) == count


def test_frames_are_analysed_answered_and_acknowledged_and_then_leave_the_spool(start, edges, stream, tmp_path):
    decoder = start("decoder", results_file=tmp_path / "results.jsonl")
    edge = edges(decoder.target)
    wait_for(lambda: edge.sender.live_after == 0)
    for _ in range(5):
        edge.put_bitstream(stream, wishes=LOOK)
    wait_for(lambda: edge.spool.items == 0)
    assert [answer.sequence for answer in edge.answers] == [1, 2, 3, 4, 5]
    assert all(answer.analyzed.pictures[0].picture.file for answer in edge.answers)
    told = lines(tmp_path / "results.jsonl")
    assert [line["sequence"] for line in told] == [1, 2, 3, 4, 5]
    assert told[0]["camera"] == "gate"
    assert told[0]["time"]["capturedAt"].endswith("Z")
    assert edge.spool.settled == 5


def test_a_camera_s_picture_goes_through_the_encoder_s_spool_to_the_decoder_and_its_answer_comes_back(
    start, edges, tmp_path
):
    decoder = start("decoder", results_file=tmp_path / "results.jsonl", results_folder=tmp_path / "pictures")
    encoder = start("encoder", uplink=decoder.target, spool=tmp_path / "spool", spool_min_free_bytes=0)
    edge = edges(encoder.target, pictures=True)
    wait_for(lambda: encoder.value("manypath_uplink_open") and edge.sender.live_after == 0)
    for _ in range(3):
        edge.put_picture(as_file(photo(40, 48)), wishes=LOOK, rate=pb.Rate(max_bytes=2500))
    wait_for(lambda: sum(bool(answer.analyzed.pictures) for answer in edge.answers) == 3)
    encoded = [answer.encoded for answer in edge.answers if answer.encoded.facts.bytes]
    assert len(encoded) == 3
    assert all(0 < answer.facts.bytes <= 2500 and not answer.bitstream for answer in encoded)
    told = lines(tmp_path / "results.jsonl")
    assert [line["origin"] for line in told] == [
        {"session": edge.spool.session, "sequence": str(number)} for number in (1, 2, 3)
    ]
    assert len(list((tmp_path / "pictures" / "gate").glob("*-perceptual.png"))) == 3
    wait_for(lambda: encoder.value("manypath_spool_items") == 0)
    assert encoder.value("manypath_uplink_frames_acknowledged_total") == 3


def test_without_a_spool_the_encoder_gives_bitstreams_back(start, edges):
    encoder = start("encoder")
    edge = edges(encoder.target, pictures=True, options=SenderOptions(return_bitstream=True))
    edge.put_picture(as_file(photo(40, 48)))
    wait_for(lambda: edge.spool.items == 0)
    assert edge.answers[0].encoded.bitstream
    silent = edges(encoder.target, pictures=True, name="other")
    silent.put_picture(as_file(photo(40, 48)))
    wait_for(lambda: "MANYPATH_ENCODER_SPOOL" in silent.sender.last_error)
    assert silent.spool.items == 1


@pytest.mark.parametrize("frames_a_connection", [0, 1, 5])
def test_a_middle_box_that_cuts_streams_again_and_again_costs_no_frame_and_doubles_none(
    lines_of, edges, cutting, stream, frames_a_connection
):
    file, decoder = lines_of()
    proxy = cutting(decoder.target)
    proxy.cut_after = 300 + frames_a_connection * (len(stream) + 200)
    edge = edges(proxy.target)
    count = 12
    for _ in range(count):
        edge.put_bitstream(stream)
    if frames_a_connection == 0:  # not one message gets through; later they do
        wait_for(lambda: proxy.cuts > 2)
        assert edge.spool.items == count
        proxy.cut_after = None
    wait_for(lambda: edge.spool.items == 0)
    assert once_each(file, count)
    assert proxy.cuts > 0
    assert edge.spool.dropped == dict.fromkeys(Reason, 0)


@pytest.mark.parametrize("durable", [True, False])
def test_a_decoder_that_comes_back_delivers_nothing_twice(start, edges, stream, tmp_path, durable):
    file = tmp_path / "results.jsonl"
    settings = {"results_file": file} | ({"sessions_file": tmp_path / "sessions.sqlite"} if durable else {})
    first = start("decoder", **settings)
    edge = edges(first.target)
    for _ in range(3):
        edge.put_bitstream(stream)
    wait_for(lambda: edge.spool.items == 0)
    # two more are delivered, and their acknowledgement is lost
    edge.stop()
    session = edge.spool.session
    sequences = [edge.put_bitstream(stream) for _ in range(2)]
    with first.client() as client:
        requests = [pb.AnalyzeStreamRequest(open=pb.StreamOpen(session=session, settled=3))]
        for sequence in sequences:
            frame = pb.BitstreamFrame(header=header("gate"), bitstream=stream)
            frame.header.sequence = sequence
            requests.append(pb.AnalyzeStreamRequest(frame=frame))
        acknowledged = 0
        for response in client.AnalyzeStream(iter(requests), timeout=SECONDS):
            acknowledged = max(acknowledged, response.acknowledgement.contiguous)
    assert acknowledged == 5
    first.close()
    edge.spool.close()
    second = start("decoder", **settings)
    again = edges(second.target)
    again.put_bitstream(stream)
    wait_for(lambda: again.spool.items == 0)
    assert once_each(file, 6)


def test_a_server_that_stops_finishes_what_it_has_begun_and_the_next_one_goes_on(start, edges, stream, tmp_path):
    file = tmp_path / "results.jsonl"
    first = start("decoder", results_file=file)
    edge = edges(first.target)
    for _ in range(6):
        edge.put_bitstream(stream, wishes=LOOK)
    wait_for(lambda: edge.sender.counts.sent >= 3)
    first.close()
    assert edge.sender.last_error == "" or "UNAVAILABLE" in edge.sender.last_error
    second = start("decoder", results_file=file, port=0)
    edge.target = second.target
    wait_for(lambda: edge.spool.items == 0)
    assert once_each(file, 6)


def test_a_frame_that_is_refused_for_good_goes_to_the_dead_letters_and_the_next_ones_go_on(
    start, edges, stream, tmp_path
):
    file = tmp_path / "results.jsonl"
    decoder = start("decoder", results_file=file)
    edge = edges(decoder.target)
    wait_for(lambda: edge.sender.live_after == 0)
    for bitstream in (stream, b"nonsense", stream):
        edge.put_bitstream(bitstream)
    wait_for(lambda: edge.spool.items == 0)
    assert [line["sequence"] for line in lines(file)] == [1, 3]
    assert [refusal.sequence for refusal in edge.refusals] == [2]
    assert edge.spool.dropped[Reason.REJECTED] == 1
    assert len(list((edge.spool.folder / "dead-letters").glob("*.frame"))) == 1


def test_a_sink_that_fails_holds_the_acknowledgement_back_until_it_works(start, edges, stream):
    keys: list[str] = []
    broken = [True]

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            if not broken[0]:
                keys.append(self.headers["Idempotency-Key"])
            self.send_response(503 if broken[0] else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    hook = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=hook.serve_forever)
    thread.start()
    try:
        decoder = start("decoder", results_webhook=f"http://127.0.0.1:{hook.server_port}/results")
        edge = edges(decoder.target)
        for _ in range(2):
            edge.put_bitstream(stream)
        wait_for(lambda: decoder.value("grpc_server_started_total", **STREAM_LABELS) >= 1)
        wait_for(lambda: edge.sender.counts.sent > 2)  # one was refused, and came again
        assert edge.spool.items == 2
        broken[0] = False
        wait_for(lambda: edge.spool.items == 0)
        assert sorted(keys) == [f"{edge.spool.session}/{number}" for number in (1, 2)]
    finally:
        hook.shutdown()
        hook.server_close()
        thread.join()


STREAM_LABELS = {
    "grpc_service": "manypath_api.v1.DecoderService",
    "grpc_method": "AnalyzeStream",
    "grpc_type": "bidi_stream",
}


def test_after_an_outage_live_frames_overtake_the_backlog_and_each_run_keeps_its_order(start, edges, stream, tmp_path):
    file = tmp_path / "results.jsonl"
    decoder = start("decoder", results_file=file)
    edge = edges("127.0.0.1:1")  # nobody is there
    backlog = [edge.put_bitstream(stream) for _ in range(40)]
    wait_for(lambda: edge.sender.counts.failures > 0)
    with decoder.busy():  # so that frames come to wait for each other
        edge.target = decoder.target
        wait_for(lambda: edge.sender.live_after == 40)
        live = [edge.put_bitstream(stream, wishes=LOOK) for _ in range(10)]
    wait_for(lambda: edge.spool.items == 0)
    order = [line["sequence"] for line in lines(file)]
    assert [number for number in order if number <= 40] == backlog
    assert [number for number in order if number > 40] == live
    assert once_each(file, 50)


def test_the_same_session_on_two_streams_ends_the_older_one(start):
    decoder = start("decoder")
    opening = pb.AnalyzeStreamRequest(open=pb.StreamOpen(session="twice"))

    def stay_open():
        yield opening
        threading.Event().wait(20)

    with decoder.client() as client:
        first = client.AnalyzeStream(stay_open(), timeout=SECONDS)
        assert next(first).HasField("opened")
        second = client.AnalyzeStream(iter([opening]), timeout=SECONDS)
        assert next(second).HasField("opened")
        with pytest.raises(grpc.RpcError) as caught:
            next(first)
        assert caught.value.code() is grpc.StatusCode.ABORTED


def frame_of(sequence, camera="gate", settled=0, **stamp):
    frame = pb.BitstreamFrame(header=pb.FrameHeader(sequence=sequence, camera=camera, settled=settled))
    for name, value in stamp.items():
        setattr(frame.header.time.captured_at, name, value)
    return pb.AnalyzeStreamRequest(frame=frame)


def opening_of(**fields):
    return pb.AnalyzeStreamRequest(open=pb.StreamOpen(**({"session": "s"} | fields)))


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [frame_of(1)],
        [opening_of(session="")],
        [opening_of(session="a b")],
        [opening_of(session="s" * 65)],
        [opening_of(settled=2**63)],
        [opening_of(), opening_of()],
        [opening_of(), frame_of(0)],
        [opening_of(), frame_of(2**63)],
        [opening_of(), frame_of(5, settled=5)],
        [opening_of(), frame_of(1, camera="")],
        [opening_of(), frame_of(1, camera="../etc")],
        [opening_of(), frame_of(1, seconds=2**62)],
        [opening_of(), frame_of(1, nanos=-5)],
    ],
)
def test_a_stream_that_breaks_the_protocol_is_refused_by_name(start, requests):
    decoder = start("decoder")
    with decoder.client() as client, decoder.busy():
        with pytest.raises(grpc.RpcError) as caught:
            list(client.AnalyzeStream(iter(requests), timeout=SECONDS))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_sender_that_floods_beyond_its_window_is_refused(start, stream):
    decoder = start("decoder")
    flood = [opening_of()]
    for number in range(1, 200):
        request = frame_of(number)
        request.frame.bitstream = stream
        request.frame.wishes.CopyFrom(LOOK)
        flood.append(request)
    with decoder.client() as client, decoder.busy():
        with pytest.raises(grpc.RpcError) as caught:
            list(client.AnalyzeStream(iter(flood), timeout=SECONDS))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "may be on their way" in caught.value.details()


def test_watchers_see_the_newest_of_each_camera_and_what_it_costs(start, edges, stream):
    decoder = start("decoder")
    edge = edges(decoder.target)
    with decoder.client() as client:
        watch = client.WatchResults(pb.WatchResultsRequest(bitstreams=True), timeout=SECONDS)
        edge.put_bitstream(stream, camera="gate", wishes=LOOK)
        first = next(watch)
        assert (first.camera, first.header.sequence, first.bitstream) == ("gate", 1, stream)
        assert first.analyzed.pictures
        assert -1 < first.age_seconds < SECONDS
        assert (first.frames_per_minute, first.bytes_per_minute) == (1, len(stream))
        edge.put_bitstream(stream, camera="door")
        second = next(watch)
        assert (second.camera, second.header.sequence) == ("door", 2)
        watch.cancel()
        only = client.WatchResults(pb.WatchResultsRequest(cameras=["door"]), timeout=SECONDS)
        told = next(only)
        assert (told.camera, told.bitstream) == ("door", b"")
        only.cancel()
