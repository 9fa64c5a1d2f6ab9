"""Who may come in: certificates and tokens, of browsers and of the services behind the console."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from manypath_services.common.errors import TlsError, TokenFileError
from manypath_services.common.settings import SettingsError
from manypath_services.common.tokens import new_token
from manypath_services.console.settings import ConsoleSettings
from tests.console.test_http import PHOTO
from tests.services.serving import Running


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def write_identity(authority: trustme.CA, folder: Path, name: str = "localhost") -> dict[str, Path]:
    issued = authority.issue_cert(name, "127.0.0.1")
    files = {"tls_certificate": folder / "own.pem", "tls_key": folder / "own.key", "tls_ca": folder / "ca.pem"}
    files["tls_certificate"].write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(files["tls_key"])
    authority.cert_pem.write_to_path(files["tls_ca"])
    return files


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_pages_come_by_tls_where_there_is_a_certificate(console, authority, tmp_path) -> None:
    secure = console(**write_identity(authority, tmp_path))
    url = secure.url.replace("http:", "https:")
    assert httpx.get(f"{url}/healthz", verify=trusting(authority)).text == "serving\n"
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{secure.url}/healthz")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", verify=ssl.create_default_context())


def test_a_browser_without_a_certificate_stays_out_where_one_is_required(console, authority, tmp_path) -> None:
    secure = console(**write_identity(authority, tmp_path), tls_require_client=True)
    url = secure.url.replace("http:", "https:")
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{url}/healthz", verify=trusting(authority))
    shown = trusting(authority)
    authority.issue_cert("somebody").configure_cert(shown)
    assert httpx.get(f"{url}/healthz", verify=shown).text == "serving\n"


def test_encoder_and_decoder_are_reached_by_tls_and_with_their_token(loop, console, authority, tmp_path) -> None:
    files = write_identity(authority, tmp_path)
    token = new_token("console")
    (tmp_path / "callers").write_text(token.line + "\n")
    (tmp_path / "secret").write_text(token.secret + "\n")
    closed = {"model": "tiny-random-sides", "token_file": tmp_path / "callers", **files}
    encoder, decoder = (Running(kind, loop, **closed) for kind in ("encoder", "decoder"))
    where = {
        "encoder": f"localhost:{encoder.server.port}",
        "decoder": f"localhost:{decoder.server.port}",
        "services_tls": True,
        "tls_ca": files["tls_ca"],
    }
    try:
        with httpx.Client(base_url=console(**where, services_token_file=tmp_path / "secret").url, timeout=60) as http:
            assert http.get("/view", params={"picture": PHOTO}).status_code == 200
            assert http.get("/system").text.count("serving") == 2
        with httpx.Client(base_url=console(**where).url, timeout=60) as http:
            answer = http.get("/view", params={"picture": PHOTO})
            assert answer.status_code == 502
            assert "token" in answer.text
    finally:
        encoder.close()
        decoder.close()


def test_who_has_a_token_signs_in_and_who_has_none_does_not(console, tmp_path) -> None:
    token = new_token("ada")
    (tmp_path / "callers").write_text(token.line + "\n")
    guarded = console(token_file=tmp_path / "callers")
    with httpx.Client(base_url=guarded.url, timeout=60) as http:
        asked = http.get("/compare?picture=photo-cat")
        assert asked.status_code == 303
        assert asked.headers["location"] == "/signin?next=%2Fcompare%3Fpicture%3Dphoto-cat"
        assert http.get("/view", headers={"hx-request": "true"}).status_code == 401
        assert http.post("/pictures", files={"file": b""}).status_code == 401
        assert http.get("/signin").status_code == http.get("/static/console.css").status_code == 200
        wrong = http.post("/signin", data={"token": "mp_" + "x" * 43})
        assert wrong.status_code == 401
        assert "not known" in wrong.text
        right = http.post("/signin", data={"token": token.secret, "next": "/compare?picture=photo-cat"})
        assert (right.status_code, right.headers["location"]) == (303, "/compare?picture=photo-cat")
        assert {"HttpOnly", "SameSite=strict"} <= set(right.headers["set-cookie"].split("; "))
        assert http.get("/compare?picture=photo-cat").status_code == 200
    bearer = {"authorization": f"Bearer {token.secret}"}
    assert httpx.get(f"{guarded.url}/system", headers=bearer, timeout=60).status_code == 200


@pytest.mark.parametrize("following", ["https://evil.example/", "//evil.example", "/\\evil.example", "x"])
def test_signing_in_leads_to_no_other_site(console, tmp_path, following: str) -> None:
    token = new_token("ada")
    (tmp_path / "callers").write_text(token.line + "\n")
    answer = httpx.post(
        f"{console(token_file=tmp_path / 'callers').url}/signin", data={"token": token.secret, "next": following}
    )
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "0.0.0.0"}, "reachable from other machines"),
        ({"encoder": "http://localhost:1"}, "without a scheme"),
        ({"prometheus": "localhost:9090"}, "a URL such as"),
        ({"services_token_file": "secret"}, "needs MANYPATH_CONSOLE_SERVICES_TLS"),
        ({"kept_bytes": 1}, "greater than or equal"),
    ],
)
def test_settings_that_cannot_be_stop_the_start(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        ConsoleSettings.load(**settings)


def test_files_that_cannot_be_read_stop_the_start(console, tmp_path) -> None:
    with pytest.raises(TokenFileError, match="cannot read"):
        console(token_file=tmp_path / "nowhere")
    with pytest.raises(TlsError, match="cannot read"):
        console(tls_certificate=tmp_path / "nowhere", tls_key=tmp_path / "nowhere")


def test_on_this_machine_alone_other_names_are_refused_beyond_it_any_unless_told() -> None:
    assert ConsoleSettings.load().accepted_names == ("localhost", "127.0.0.1", "[::1]")
    assert ConsoleSettings.load(host="0.0.0.0", insecure=True).accepted_names == ("*",)
    assert ConsoleSettings.load(names=["console.example"]).accepted_names == ("console.example",)
