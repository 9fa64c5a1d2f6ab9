"""Answers find the one who asked, with the frame's own number and time, once, whoever was away in between."""

import json
import time

import pytest

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.answer_log import AnswerLog
from manypath_services.streams.kept_answers import KeptAnswers
from tests.camera.edge import header
from tests.camera.waiting import wait_for
from tests.services.serving import SECONDS, as_file, photo

LOOK = pb.FrameWishes(pictures=[pb.PathRequest(path=pb.PATH_PERCEPTUAL)], answer=True)


def sequences_of(file):
    return [json.loads(line)["sequence"] for line in file.read_text().splitlines()] if file.exists() else []


def later(edge):
    """The decoder's answers that came back to a camera's client."""
    return [answer for answer in edge.answers if answer.HasField("analyzed")]


def take(edge, count=3):
    """Take pictures, each at a time of its own; returns the times in nanoseconds by sequence."""
    times = {}
    for _ in range(count):
        before = time.time_ns()
        sequence = edge.put_picture(as_file(photo(40, 48)), wishes=LOOK)
        times[sequence] = (before, time.time_ns())
    return times


def check(answers, times):
    assert sorted(answer.sequence for answer in answers) == sorted(times), "each once"
    for answer in answers:
        begun, ended = times[answer.sequence]
        assert begun <= answer.time.captured_at.ToNanoseconds() <= ended
        assert answer.camera == "gate"
        assert answer.analyzed.pictures[0].picture.file


@pytest.mark.parametrize("away", ["encoder", "client", "both"])
def test_an_answer_to_a_frame_sent_before_a_restart_of_the_edge_comes_back_once(start, edges, tmp_path, away):
    file = tmp_path / "results.jsonl"
    decoder = start("decoder", results_file=file)
    spool = {"spool": tmp_path / "spool", "spool_min_free_bytes": 0}
    encoder = start("encoder", uplink=decoder.target, **spool)
    edge = edges(encoder.target, pictures=True)
    with decoder.busy():  # frames are there, and no answer yet
        times = take(edge)
        wait_for(lambda: edge.spool.items == 0)  # the encoder has them
        wait_for(lambda: encoder.value("manypath_uplink_frames_sent_total") == 3)
        if away != "encoder":
            edge.stop()
            edge.spool.close()
        if away != "client":
            encoder.close()
            encoder = start("encoder", uplink=decoder.target, **spool)
            edge.target = encoder.target
    wait_for(lambda: len(sequences_of(file)) == 3)
    wait_for(lambda: encoder.value("manypath_spool_items") == 0)
    if away != "encoder":
        edge = edges(encoder.target, pictures=True)
    wait_for(lambda: len(later(edge)) >= 3)
    more = take(edge, 1)  # whatever came twice would be there before its answer
    wait_for(lambda: any(answer.sequence in more for answer in later(edge)))
    check(later(edge), times | more)
    assert len(sequences_of(file)) == 4


def test_an_answer_that_a_cut_stream_took_along_is_told_again_until_its_frame_is_settled(start, stream, tmp_path):
    file = tmp_path / "results.jsonl"
    decoder = start("decoder", results_file=file)
    frame = pb.BitstreamFrame(header=header("gate"), bitstream=stream, wishes=LOOK)
    frame.header.sequence = 1
    frame.header.origin.CopyFrom(pb.FrameOrigin(session="client", sequence=7))

    def told(settled):
        opening = pb.AnalyzeStreamRequest(open=pb.StreamOpen(session="s", settled=settled))
        responses = list(client.AnalyzeStream(iter([opening]), timeout=SECONDS))
        return [response.answer for response in responses if response.HasField("answer")]

    with decoder.client() as client:
        requests = [
            pb.AnalyzeStreamRequest(open=pb.StreamOpen(session="s")),
            pb.AnalyzeStreamRequest(frame=frame),
        ]
        first = client.AnalyzeStream(iter(requests), timeout=SECONDS)
        wait_for(lambda: sequences_of(file) == [1])
        first.cancel()
        for _ in range(2):
            (again,) = told(settled=0)
            assert (again.sequence, again.origin.session, again.origin.sequence) == (1, "client", 7)
            assert again.time == frame.header.time
            assert again.analyzed.pictures[0].picture.file
        assert told(settled=1) == []
    assert sequences_of(file) == [1]


def test_a_log_of_answers_holds_each_once_over_restarts_and_a_line_cut_short(tmp_path):
    file = tmp_path / "answers.jsonl"
    file.write_text("somebody else's line\n")
    answers = [pb.FrameAnswer(sequence=number, camera="gate", time=header("gate").time) for number in (1, 2, 3)]
    for _ in range(2):
        log = AnswerLog(file)
        for answer in answers[:2]:
            log.write("s", answer)
        log.close()
    with file.open("a") as broken:
        broken.write('{"session": "s", "sequence": 3, "cam')
    log = AnswerLog(file)
    for answer in answers:
        log.write("s", answer)
    log.write("another session", answers[0])
    log.close()
    told = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    assert [(line["session"], line["sequence"]) for line in told] == [
        ("s", 1),
        ("s", 2),
        ("s", 3),
        ("another session", 1),
    ]
    assert told[0]["time"]["capturedAt"].endswith("Z")


def test_answers_are_kept_within_their_bounds_and_the_oldest_go_first():
    kept = KeptAnswers(most_answers=3, most_bytes=1000)
    for number in range(1, 6):
        kept.keep("a" if number % 2 else "b", pb.FrameAnswer(sequence=number))
    assert [answer.sequence for answer in kept.of("a")] == [3, 5]
    assert [answer.sequence for answer in kept.of("b")] == [4]
    kept.settle("a", 3)
    assert [answer.sequence for answer in kept.take("a")] == [5]
    kept.keep("b", pb.FrameAnswer(sequence=9, encoded=pb.EncodeResponse(bitstream=bytes(2000))))
    assert len(kept) == 0
