"""A trace's name: read as the recommendation has it, passed on where nobody keeps spans, written into the log."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manypath_api.v1 import codec_pb2 as pb
from manypath_services.common import tracing
from manypath_services.common.logs import JsonFormatter
from manypath_services.common.tracing import Trace
from tests.services.serving import SECONDS, as_raw, photo

hexadecimal = st.text("0123456789abcdef", min_size=32, max_size=32).filter(lambda text: set(text) != {"0"})


@given(hexadecimal, hexadecimal.map(lambda text: text[:16]).filter(lambda text: set(text) != {"0"}), st.booleans())
def test_what_is_written_is_what_is_read(trace, span, sampled):
    made = Trace(trace, span, sampled)
    assert tracing.parse(made.header) == made


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        f"ff-{'1' * 32}-{'1' * 16}-01",
        f"00-{'A' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'1' * 16}-01-more",
        f"00-{'1' * 32}-{'1' * 16}-01\n",
    ],
)
def test_a_header_that_makes_no_sense_is_as_good_as_none(header):
    assert tracing.parse(header) is None


def test_a_trace_that_comes_in_goes_out_and_into_both_logs_without_an_exporter(start, caplog):
    caplog.set_level(logging.INFO)
    decoder = start("decoder")
    encoder = start("encoder", uplink=decoder.target)
    trace = "7" * 32
    lines = []

    class Lines(logging.Handler):
        def emit(self, record):
            lines.append(json.loads(JsonFormatter("test").format(record)))

    handler = Lines()
    logging.getLogger().addHandler(handler)
    try:
        request = pb.ProcessRequest(picture=as_raw(photo()), pictures=[pb.PathRequest(path=pb.PATH_PERCEPTUAL)])
        with encoder.client() as client:
            client.Process(request, timeout=SECONDS, metadata=(("traceparent", f"00-{trace}-{'8' * 16}-01"),))
    finally:
        logging.getLogger().removeHandler(handler)
    calls = {line["grpc_method"]: line.get("trace_id") for line in lines if line["message"] == "call"}
    assert calls == {"Process": trace, "Analyze": trace}


def test_the_log_of_a_call_that_was_given_up_says_in_which_stage(start, caplog):
    caplog.set_level(logging.INFO)
    running = start("encoder")
    with running.client() as client, running.busy():
        waiting = client.Encode.future(pb.EncodeRequest(picture=as_raw(photo())), timeout=SECONDS)
        while running.value("manypath_queue_depth") < 1:
            assert not waiting.done()
        waiting.cancel()
        while running.value("manypath_queue_depth"):
            pass
    details = [record.details for record in caplog.records if getattr(record, "grpc_code", "") == "CANCELLED"]
    assert details == ["the caller went away or its deadline passed, in stage queue"]
