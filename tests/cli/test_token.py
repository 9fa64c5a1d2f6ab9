"""`manypath token` makes what a server and its caller need, and no more."""

from __future__ import annotations

import stat

import pytest

from manypath_cli.main import main
from manypath_services.common.tokens import TokenFile


def test_what_is_made_for_a_caller_is_known_to_its_server(tmp_path, capsys):
    tokens, secret = tmp_path / "tokens", tmp_path / "camera.token"
    for name in ("camera-7", "camera-8"):
        assert main(["token", name, "--file", str(tokens), "--secret", f"{secret}.{name}"]) == 0
    assert capsys.readouterr().out == ""
    for name in ("camera-7", "camera-8"):
        file = tmp_path / f"camera.token.{name}"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text().strip() not in tokens.read_text()
        assert TokenFile(tokens).caller(f"Bearer {file.read_text().strip()}") == name


def test_without_files_the_secret_and_its_line_are_printed(capsys):
    assert main(["token", "camera-7"]) == 0
    secret, line = capsys.readouterr().out.splitlines()
    assert secret.startswith("mp_")
    assert line.startswith("camera-7 sha256:")


@pytest.mark.parametrize(("name", "says"), [("two words", "letters, digits"), ("", "argument 2 is empty")])
def test_a_name_that_is_none_is_refused(name, says, capsys):
    assert main(["token", name]) == 2
    assert says in capsys.readouterr().err


def test_a_secret_overwrites_nothing(tmp_path):
    there = tmp_path / "there"
    there.write_text("a diary")
    assert main(["token", "camera-7", "--secret", str(there)]) == 2
    assert there.read_text() == "a diary"
