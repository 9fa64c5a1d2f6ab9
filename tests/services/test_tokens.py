"""Bearer tokens, and how often a caller may call."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager

import grpc
import pytest

from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_services.common import tls, tokens
from manypath_services.common.errors import TokenFileError
from manypath_services.common.settings import CertificateFiles
from manypath_services.common.tls import RenewedCertificates, client_credentials
from manypath_services.common.tokens import call_credentials, new_token, read_tokens
from tests.services.certificates import Authority
from tests.services.serving import SECONDS, as_raw, photo, refusal

ASK = pb.GetCapabilitiesRequest()


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch):
    monkeypatch.setattr(tls, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(tokens, "_LOOK_SECONDS", 0.0)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


class Door:
    """A server's file of tokens, and a client's own."""

    def __init__(self, folder):
        self.file, self.secret = folder / "tokens", folder / "token"
        self.camera, self.other = new_token("camera-7"), new_token("site/other")
        self.file.write_text(f"# cameras\n{self.camera.line}\n{self.other.line}  # Berlin\n")
        self.secret.write_text(self.camera.secret + "\n")


@pytest.fixture
def door(tmp_path):
    return Door(tmp_path)


@contextmanager
def calling(running, ca, token=None):
    credentials = client_credentials(RenewedCertificates(CertificateFiles(ca=ca)), token)
    with grpc.secure_channel(f"127.0.0.1:{running.server.port}", credentials) as channel:
        yield pb_grpc.EncoderServiceStub(channel)


def test_a_known_token_is_let_in_and_its_name_is_logged(start, authority, door, caplog):
    running = start("encoder", token_file=door.file, **authority.issue("server").settings)
    caplog.set_level(logging.INFO)
    with calling(running, authority.ca, call_credentials(door.secret)) as encoder:
        encoder.GetCapabilities(ASK, timeout=SECONDS)
        door.secret.write_text(door.other.secret)  # a renewed token is sent with the next call
        encoder.GetCapabilities(ASK, timeout=SECONDS)
    assert [r.caller for r in caplog.records if getattr(r, "grpc_code", "") == "OK"] == ["camera-7", "site/other"]
    assert door.camera.secret not in caplog.text


def test_without_a_token_or_with_a_wrong_one_nobody_is_let_in(start, authority, door):
    running = start("encoder", token_file=door.file, **authority.issue("server").settings)
    with calling(running, authority.ca) as encoder:
        for metadata, said in (
            ((), "need a token"),
            ((("authorization", f"Bearer {new_token('thief').secret}"),), "not known"),
            ((("authorization", "Bearer"),), "not known"),
            ((("authorization", f"Basic {door.camera.secret}"),), "not known"),
            ((("authorization", f"Bearer {door.camera.line.split(':')[1]}"),), "not known"),  # the hash is no token
        ):
            error = refusal(encoder.GetCapabilities, ASK, metadata=metadata)
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            assert said in error.details()
    labels = {"grpc_service": running.service, "grpc_method": "GetCapabilities", "grpc_type": "unary"}
    assert running.value("grpc_server_handled_total", grpc_code="UNAUTHENTICATED", **labels) == 5


def test_a_revoked_token_is_refused_with_the_next_call(start, authority, door):
    running = start("encoder", token_file=door.file, **authority.issue("server").settings)
    with calling(running, authority.ca, call_credentials(door.secret)) as encoder:
        encoder.GetCapabilities(ASK, timeout=SECONDS)
        door.file.write_text(door.other.line + "\n")
        assert refusal(encoder.GetCapabilities, ASK).code() is grpc.StatusCode.UNAUTHENTICATED
        door.file.write_text("a mistake\n")  # lets nobody in
        assert refusal(encoder.GetCapabilities, ASK).code() is grpc.StatusCode.UNAUTHENTICATED
        door.file.write_text(door.camera.line + "\n")
        encoder.GetCapabilities(ASK, timeout=SECONDS)


def test_a_caller_beyond_its_rate_is_told_when_to_come_again_and_others_are_not(start, authority, door):
    running = start("encoder", token_file=door.file, caller_rate=0.5, **authority.issue("server").settings)
    with calling(running, authority.ca) as encoder:

        def ask(secret):
            return refusal_or_none(encoder, (("authorization", f"Bearer {secret}"),))

        errors = [ask(door.camera.secret) for _ in range(4)]
        assert errors[0] is None
        assert errors[-1].code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "camera-7 may call 0.5 times a second" in errors[-1].details()
        assert 0 < int(dict(errors[-1].trailing_metadata())["grpc-retry-pushback-ms"]) <= 2000
        assert ask(door.other.secret) is None
    assert running.value("manypath_requests_shed_total", reason="caller_rate") >= 1


def test_a_callers_flood_does_not_keep_another_from_the_queue(start, authority, door):
    """Calls of one size: without shares the second caller's would be refused, or come after all of the flood."""
    running = start("encoder", token_file=door.file, queue_limit=8, batch_limit=1, **authority.issue("server").settings)
    request = pb.EncodeRequest(picture=as_raw(photo()))
    ended = []
    with calling(running, authority.ca) as encoder:

        def ask(name, secret, number):
            calls = []
            for _ in range(number):
                metadata = (("authorization", f"Bearer {secret}"),)
                calls.append(encoder.Encode.future(request, timeout=SECONDS, metadata=metadata))
                calls[-1].add_done_callback(lambda call: ended.append((name, call.code())))
            return calls

        with running.busy():
            flood = ask("flood", door.camera.secret, 20)
            wait_until(lambda: len(ended) == 12)  # the queue's limit
            assert running.value("manypath_queue_depth") == 8
            few = ask("few", door.other.secret, 2)
            wait_until(lambda: len(ended) == 14)  # they took the places of the flood's last
            assert running.value("manypath_queue_depth") == 8
        for call in few:
            assert call.result(SECONDS).bitstream
        for call in flood:
            call.exception(SECONDS)
    assert set(ended[:14]) == {("flood", grpc.StatusCode.RESOURCE_EXHAUSTED)}
    assert all("grpc-retry-pushback-ms" in dict(call.trailing_metadata()) for call in flood if call.exception())
    computed = [name for name, code in ended[14:] if code is grpc.StatusCode.OK]
    assert sorted(computed) == ["few"] * 2 + ["flood"] * 6
    assert "few" not in computed[5:]  # by turns, give or take how answers travel


def wait_until(true):
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)


def refusal_or_none(encoder, metadata):
    try:
        encoder.GetCapabilities(ASK, timeout=SECONDS, metadata=metadata)
    except grpc.RpcError as err:
        return err
    return None


def test_an_encoder_brings_its_token_to_its_decoder(start, authority, door):
    decoder = start("decoder", token_file=door.file, **authority.issue("decoder").settings)
    request = pb.ProcessRequest(picture=as_raw(photo()), pictures=[pb.PathRequest(path=pb.PATH_PERCEPTUAL)])
    options = {"uplink": decoder.target, "uplink_tls": True, "tls_ca": authority.ca}
    with start("encoder", uplink_token_file=door.secret, **options).client() as encoder:
        assert encoder.Process(request, timeout=SECONDS).analyzed.pictures
    with start("encoder", **options).client() as encoder:
        assert refusal(encoder.Process, request).code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_file_of_tokens_that_makes_no_sense_is_named_with_its_line(tmp_path, door):
    with pytest.raises(TokenFileError, match=r"away"):
        read_tokens(tmp_path / "away")
    door.file.write_text(f"{door.camera.line}\n\nplain-secret\n")
    with pytest.raises(TokenFileError, match="line 3 must be NAME sha256:HEX"):
        read_tokens(door.file)
    for content in ("", "two words", "ü"):
        door.secret.write_text(content)
        with pytest.raises(TokenFileError):
            call_credentials(door.secret)


def test_no_two_tokens_are_alike_and_names_are_plain():
    made = {new_token("a").secret for _ in range(100)}
    assert len(made) == 100
    for name in ("", "a b", "-a", "a" * 65, "a\nb"):
        with pytest.raises(TokenFileError):
            new_token(name)
