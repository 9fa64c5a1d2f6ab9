"""The environment is believed only where it makes sense."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from manypath_services.common.settings import SettingsError
from manypath_services.decoder.settings import DecoderSettings
from manypath_services.encoder.settings import EncoderSettings

ROOT = Path(__file__).resolve().parents[2]


def test_the_environment_sets_a_field(monkeypatch):
    monkeypatch.setenv("MANYPATH_ENCODER_PORT", "7001")
    assert EncoderSettings.load().port == 7001


def test_an_argument_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("MANYPATH_ENCODER_PORT", "7001")
    assert EncoderSettings.load(port=7002).port == 7002


def test_other_services_keys_are_none_of_ours(monkeypatch):
    monkeypatch.setenv("MANYPATH_DECODER_NONSENSE", "1")
    EncoderSettings.load()


def test_an_unknown_key_is_refused_and_the_near_one_is_named(monkeypatch):
    monkeypatch.setenv("MANYPATH_ENCODER_PROT", "7001")
    with pytest.raises(SettingsError, match=r"MANYPATH_ENCODER_PROT is not a setting.*MANYPATH_ENCODER_PORT"):
        EncoderSettings.load()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PORT", "seven"),
        ("PORT", "70000"),
        ("QUEUE_LIMIT", "0"),
        ("DEVICE", "tpu"),
        ("LOG_LEVEL", "loud"),
        ("MAX_PIXELS", "-1"),
        ("DRAIN_SECONDS", "nan"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_itself(monkeypatch, key, value):
    monkeypatch.setenv(f"MANYPATH_ENCODER_{key}", value)
    with pytest.raises(SettingsError) as refused:
        EncoderSettings.load()
    assert f"MANYPATH_ENCODER_{key}" in str(refused.value)
    assert value in str(refused.value)


def test_workers_are_read_from_json(monkeypatch):
    monkeypatch.setenv("MANYPATH_DECODER_WORKERS", '{"classification": "host:9/efficientnet"}')
    assert DecoderSettings.load().worker("classification") == ("host:9", "efficientnet")
    assert DecoderSettings.load().worker("segmentation") is None


@pytest.mark.parametrize(
    "value", ["{", '{"Two words": "h:1/m"}', '{"classification": "nowhere"}', '{"classification": "h:1"}']
)
def test_workers_that_make_no_sense_are_refused(monkeypatch, value):
    monkeypatch.setenv("MANYPATH_DECODER_WORKERS", value)
    with pytest.raises(SettingsError, match=r"(?i)workers"):
        DecoderSettings.load()


@pytest.mark.parametrize("service", ["encoder", "decoder"])
@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("POTR", "1", "is not a setting"), ("PORT", "x", "valid integer"), ("MODEL", "no-such", "no-such")],
)
def test_a_process_that_cannot_start_says_why_and_exits_with_1(service, key, value, said):
    # no warning filter of ours here: the child is a service, not a test
    told = {"PORT": "0", "METRICS_PORT": "0", "DRAIN_SECONDS": "0", key: value}
    environment = {f"MANYPATH_{service.upper()}_{name}": text for name, text in told.items()}
    environment |= {"PATH": "", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    command = [sys.executable, "-m", f"manypath_services.{service}"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 1, run.stderr
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_the_defaults_that_the_page_tells_are_the_settings():
    page = (ROOT / "docs" / "services.md").read_text()
    told = dict(re.findall(r"^\| `…_([A-Z_]+)` \| ([\d^]+) \|", page, re.MULTILINE))
    assert {"THREADS", "QUEUE_LIMIT", "MAX_PIXELS"} <= set(told)
    for name, value in told.items():
        base, _, power = value.partition("^")
        default = EncoderSettings.model_fields[name.lower()].default
        assert default == int(base) ** int(power or 1), name
