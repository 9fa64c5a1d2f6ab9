"""Logs are lines of JSON that name their request."""

from __future__ import annotations

import io
import json
import logging

from manypath_services.common.logs import JsonFormatter, request_id


def lines(log) -> list[dict]:
    stream = io.StringIO()
    logger = logging.Logger("test")  # noqa: LOG001  (one that nobody else has)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter("encoder"))
    logger.addHandler(handler)
    log(logger)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line_with_what_was_given_as_extra():
    (line,) = lines(lambda logger: logger.info("two\nlines", extra={"seconds": 0.25}))
    assert line["message"] == "two\nlines"
    assert line["seconds"] == 0.25
    assert line["level"] == "INFO"
    assert line["service"] == "encoder"
    assert line["time"].endswith("+00:00")
    assert "request_id" not in line


def test_an_exception_is_told_in_the_same_line():
    def log(logger):
        try:
            raise ValueError("what happened")
        except ValueError:
            logger.exception("internal error")

    (line,) = lines(log)
    assert "ValueError: what happened" in line["exception"]


def test_a_record_names_the_request_that_it_belongs_to():
    token = request_id.set("abc-1")
    try:
        (line,) = lines(lambda logger: logger.info("x"))
    finally:
        request_id.reset(token)
    assert line["request_id"] == "abc-1"


def test_what_json_cannot_hold_is_written_as_text():
    (line,) = lines(lambda logger: logger.info("x", extra={"thing": {1, 2}}))
    assert line["thing"] == "{1, 2}"
