"""Who may talk to whom, on real sockets: certificates, their renewal, and what is refused."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from contextlib import contextmanager

import grpc
import pytest
from cryptography import x509

from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_services.common import tls
from manypath_services.common.admission import certificate_name
from manypath_services.common.errors import TlsError
from manypath_services.common.settings import CertificateFiles, SettingsError
from manypath_services.common.tls import RenewedCertificates, client_credentials, read_certificates
from manypath_services.encoder.settings import EncoderSettings
from tests.services.certificates import HOST, YESTERDAY, Authority
from tests.services.serving import SECONDS, as_raw, photo, refusal

ASK = pb.GetCapabilitiesRequest()
CAMERA = "camera.test"


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch):
    monkeypatch.setattr(tls, "_LOOK_SECONDS", 0.0)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ours")


@contextmanager
def calling(running, files: CertificateFiles):
    """Calls an encoder with an identity."""
    credentials = client_credentials(RenewedCertificates(files))
    with grpc.secure_channel(f"{HOST}:{running.server.port}", credentials) as channel:
        yield pb_grpc.EncoderServiceStub(channel)


def trusting(ca) -> CertificateFiles:
    return CertificateFiles(ca=ca)


def test_a_caller_that_trusts_the_servers_authority_is_served(start, authority):
    running = start("encoder", ready=True, **authority.issue("server").settings)
    with calling(running, trusting(authority.ca)) as encoder:
        assert encoder.GetCapabilities(ASK, timeout=SECONDS).model == "tiny-random"


def test_a_caller_that_trusts_another_authority_goes_away(start, authority, tmp_path):
    running = start("encoder", **authority.issue("server").settings)
    with calling(running, trusting(Authority(tmp_path / "theirs").ca)) as encoder:
        error = refusal(encoder.GetCapabilities, ASK)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "CERTIFICATE_VERIFY_FAILED" in error.details()


def test_an_expired_certificate_convinces_nobody(start, authority):
    running = start("encoder", **authority.issue("server", expires=YESTERDAY).settings)
    with calling(running, trusting(authority.ca)) as encoder:
        assert refusal(encoder.GetCapabilities, ASK).code() is grpc.StatusCode.UNAVAILABLE


def test_plain_calls_to_a_port_with_tls_are_refused(start, authority):
    running = start("encoder", **authority.issue("server").settings)
    with grpc.insecure_channel(running.target) as channel:
        stub = pb_grpc.EncoderServiceStub(channel)
        assert refusal(stub.GetCapabilities, ASK).code() is grpc.StatusCode.UNAVAILABLE


def test_only_certificates_of_the_own_authority_are_let_in_and_their_name_is_logged(start, authority, tmp_path, caplog):
    running = start("encoder", tls_require_client=True, **authority.issue("server").settings)
    strangers = Authority(tmp_path / "theirs").issue("camera", CAMERA, trusts=authority.ca)
    expired = authority.issue("old", CAMERA, expires=YESTERDAY)
    for files in (trusting(authority.ca), strangers.files, expired.files):
        with calling(running, files) as encoder:
            assert refusal(encoder.GetCapabilities, ASK).code() is grpc.StatusCode.UNAVAILABLE
    caplog.set_level(logging.INFO)
    with calling(running, authority.issue("camera", CAMERA).files) as encoder:
        encoder.GetCapabilities(ASK, timeout=SECONDS)
    assert [record.caller for record in caplog.records if getattr(record, "grpc_code", "") == "OK"] == [CAMERA]


def served_serial(running, ca) -> int:
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((HOST, running.server.port), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as secure,
    ):
        return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True)).serial_number


def test_certificates_renewed_under_load_cost_no_call(start, authority):
    running = start("encoder", **authority.issue("server").settings)
    first = served_serial(running, authority.ca)
    errors, end, answers = [], threading.Event(), [0, 0]

    def load(number: int, *, anew: bool) -> None:
        while not end.is_set():
            with calling(running, trusting(authority.ca)) as encoder:
                for _ in range(1 if anew else 50):
                    try:
                        encoder.GetCapabilities(ASK, timeout=SECONDS)
                        answers[number] += 1
                    except grpc.RpcError as err:
                        errors.append(err)

    clients = [threading.Thread(target=load, args=(0,), kwargs={"anew": False})]
    clients.append(threading.Thread(target=load, args=(1,), kwargs={"anew": True}))
    for client in clients:
        client.start()
    serials = {first}
    for _ in range(5):
        authority.issue("server")
        serials.add(served_serial(running, authority.ca))
    end.set()
    for client in clients:
        client.join()
    assert errors == []
    assert min(answers) > 0
    assert len(serials) == 6
    assert running.value("manypath_tls_renewals_total", outcome="ok") >= 5


def test_half_of_a_renewal_leaves_the_old_certificate_in_use(start, authority):
    identity = authority.issue("server")
    running = start("encoder", **identity.settings)
    before = served_serial(running, authority.ca)
    other = authority.issue("other")
    whole = identity.files.certificate.read_bytes()
    identity.files.certificate.write_bytes(other.files.certificate.read_bytes())  # not this key's
    assert served_serial(running, authority.ca) == before
    assert running.value("manypath_tls_renewals_total", outcome="failed") >= 1
    identity.files.certificate.write_bytes(b"-----BEGIN CERT")
    assert served_serial(running, authority.ca) == before
    identity.files.certificate.write_bytes(whole)
    identity.files.key.write_bytes(identity.files.key.read_bytes())
    assert served_serial(running, authority.ca) == before


def test_the_day_of_expiry_is_a_metric_that_follows_a_renewal(start, authority):
    identity = authority.issue("server", expires=YESTERDAY)
    running = start("encoder", **identity.settings)
    name = "manypath_tls_certificate_expiry_timestamp_seconds"
    assert running.value(name, certificate="own") == YESTERDAY.replace(microsecond=0).timestamp()
    authority.issue("server")
    assert running.value(name, certificate="own") > YESTERDAY.timestamp()
    assert running.value(name, certificate="authority") == read_certificates(identity.files).ca_expiry


def test_an_encoder_reaches_its_decoder_with_its_own_certificate_and_with_the_renewed_one(start, authority, caplog):
    decoder = start("decoder", tls_require_client=True, **authority.issue("decoder").settings)
    edge = authority.issue("edge", "edge-1.test", HOST)
    encoder = start("encoder", uplink=decoder.target, uplink_tls=True, **edge.settings)
    caplog.set_level(logging.INFO)
    request = pb.ProcessRequest(picture=as_raw(photo()), pictures=[pb.PathRequest(path=pb.PATH_PERCEPTUAL)])
    with calling(encoder, trusting(authority.ca)) as stub:
        assert stub.Process(request, timeout=SECONDS).analyzed.pictures
        authority.issue("edge", "edge-2.test", HOST)
        assert stub.Process(request, timeout=SECONDS).analyzed.pictures
    callers = [record.caller for record in caplog.records if getattr(record, "grpc_method", "") == "Analyze"]
    assert callers == ["edge-1.test", "edge-2.test"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "0.0.0.0"}, "MANYPATH_ENCODER_INSECURE=true"),
        ({"host": "::"}, "reachable from other machines"),
        ({"host": "camera-gateway"}, "reachable from other machines"),
        ({"tls_certificate": "/a.pem"}, "belong together"),
        ({"tls_key": "/a.key"}, "belong together"),
        ({"tls_require_client": True}, "MANYPATH_ENCODER_TLS_CA"),
        ({"host": "0.0.0.0", "insecure": True, "token_file": "/tokens"}, "plain text"),
        ({"uplink_token_file": "/token"}, "MANYPATH_ENCODER_UPLINK_TLS"),
    ],
)
def test_settings_that_would_leave_a_door_open_stop_start_up(given, said):
    with pytest.raises(SettingsError, match=said):
        EncoderSettings.load(**given)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_this_machines_own_addresses_need_no_certificate(host):
    assert EncoderSettings.load(host=host).tls_certificate is None


def test_the_default_address_is_this_machines_own():
    assert EncoderSettings.load().host == "127.0.0.1"
    assert EncoderSettings.load().metrics_host == "127.0.0.1"


def test_listening_in_plain_text_for_everybody_is_one_line_of_warning(start, caplog):
    start("encoder", ready=False, host="0.0.0.0", insecure=True)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "insecure is set" in warnings[0]


def test_files_that_make_no_sense_are_named(authority, tmp_path):
    good, other = authority.issue("good").files, authority.issue("other").files
    nothing = tmp_path / "nothing.pem"
    for files, named in (
        (good._replace(certificate=nothing), "nothing.pem: No such file"),
        (good._replace(certificate=good.key), "good.key holds no PEM certificate"),
        (good._replace(key=good.certificate), "good.pem holds no PEM private key"),
        (good._replace(key=other.key), "other.key is not the key of"),
        (good._replace(ca=good.key), "good.key holds no PEM certificate"),
    ):
        with pytest.raises(TlsError, match=named):
            read_certificates(files)


def test_a_server_says_which_file_it_cannot_use(start, tmp_path):
    with pytest.raises(TlsError, match=r"cannot read .*away\.pem"):
        start("encoder", tls_certificate=tmp_path / "away.pem", tls_key=tmp_path / "away.key")


@pytest.mark.parametrize(
    ("names", "common", "expected"),
    [
        ((b"edge.test", b"spiffe://site/edge", b"10.0.0.1"), (), "spiffe://site/edge"),
        ((b"edge.test", b"other.test"), (b"common",), "edge.test"),
        ((), (b"common",), "common"),
        ((), (), ""),
    ],
)
def test_a_caller_is_named_by_its_workload_identity_before_its_host_name(names, common, expected):
    authentication = {"x509_subject_alternative_name": names, "x509_common_name": common}
    assert certificate_name(authentication) == expected
    assert certificate_name(None) == ""
