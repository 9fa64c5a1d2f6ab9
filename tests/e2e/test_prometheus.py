"""A real Prometheus scrapes the services, and finds in them what the requests were."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from manypath_api.v1 import codec_pb2 as pb
from manypath_services.common.client import DECODER_SERVICE, ENCODER_SERVICE
from tests.services.conftest import loop, start  # noqa: F401  (fixtures)
from tests.services.serving import SECONDS, as_raw, photo

REASON = "not installed; it is Debian's package prometheus"


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is {REASON}")
    return found


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=SECONDS) as response:  # noqa: S310  (our own http)
        return response.read().decode()


class Prometheus:
    """Answers of a running server."""

    def __init__(self, address: str) -> None:
        self.address = address

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Values by labels, as soon as there are any: a scrape that came too late leaves a gap until the next.

        The scraper's own labels are left out.
        """
        url = f"{self.address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        until = time.monotonic() + SECONDS
        while not (result := json.loads(fetch(url))["data"]["result"]):
            assert time.monotonic() < until, expression
            time.sleep(0.05)
        return {
            tuple(sorted((k, v) for k, v in one["metric"].items() if k not in {"__name__", "job", "instance"})): float(
                one["value"][1]
            )
            for one in result
        }

    def value(self, expression: str) -> float:
        (value,) = self.query(expression).values()
        return value


@contextmanager
def prometheus(folder, targets: dict[str, str]) -> Iterator[Prometheus]:
    program = tool("prometheus")
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [urllib.parse.urlsplit(url).netloc]}]}
        for name, url in targets.items()
    ]
    config = {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            until = time.monotonic() + SECONDS
            while True:
                try:
                    fetch(f"{address}/-/ready")
                    break
                except OSError:
                    assert process.poll() is None, (folder / "log").read_text()
                    assert time.monotonic() < until, (folder / "log").read_text()
                    time.sleep(0.05)
            yield Prometheus(address)
        finally:
            process.terminate()


def test_bitrate_and_latency_have_the_values_that_the_requests_had(start, tmp_path):  # noqa: F811
    tool("prometheus")
    encoder, decoder = start("encoder"), start("decoder")
    encoded, decoded, encode_seconds = [], [], []
    with encoder.client() as encodes, decoder.client() as decodes:
        for number, quality in enumerate((1.0, 2.5, 4.0, 7.9)):
            request = pb.EncodeRequest(picture=as_raw(photo(64 + 10 * number, 90)), rate=pb.Rate(quality=quality))
            begun = time.perf_counter()
            encoded.append(encodes.Encode(request, timeout=SECONDS))
            encode_seconds.append(time.perf_counter() - begun)
            decoded.append(decodes.Decode(pb.DecodeRequest(bitstream=encoded[-1].bitstream), timeout=SECONDS))

    targets = {"encoder": encoder.metrics_url, "decoder": decoder.metrics_url}
    with prometheus(tmp_path, targets) as server:
        server.query(f'grpc_server_handled_total{{grpc_service="{ENCODER_SERVICE}"}} == 4')
        server.query(f'grpc_server_handled_total{{grpc_service="{DECODER_SERVICE}"}} == 4')

        def close(expression: str, expected: float) -> None:
            assert server.value(expression) == pytest.approx(expected, rel=1e-9), expression

        # bitrate: on both sides what the responses said
        rates = [response.facts.bpp for response in encoded]
        sizes = [len(response.bitstream) for response in encoded]
        for job in ("encoder", "decoder"):
            close(f'sum(manypath_codec_rate_bpp_sum{{job="{job}"}})', sum(rates))
            close(f'sum(manypath_codec_rate_bpp_count{{job="{job}"}})', 4)
            close(f'sum(manypath_codec_bitstream_bytes_sum{{job="{job}"}})', sum(sizes))
            close(
                f'manypath_codec_input_pixels_total{{job="{job}"}}',
                sum(r.facts.width * r.facts.height for r in encoded),
            )
            median = server.value(
                f'histogram_quantile(0.5, sum by (le) (manypath_codec_rate_bpp_bucket{{job="{job}"}}))'
            )
            assert min(rates) / 2 <= median <= 2 * max(rates)
        by_quality = server.query('manypath_codec_rate_bpp_count{job="encoder"}')
        assert {dict(labels)["quality"]: count for labels, count in by_quality.items()} == {
            "1": 1,
            "2": 1,  # 2.5, rounded to even
            "4": 1,
            "8": 1,
        }
        close('manypath_codec_output_bytes_total{job="encoder"}', sum(sizes))
        close('manypath_codec_input_bytes_total{job="decoder"}', sum(sizes))
        pictures = [picture for response in decoded for picture in response.pictures]
        close('manypath_codec_output_bytes_total{job="decoder"}', sum(len(one.picture.file) for one in pictures))

        # latency: each stage what the responses said, the whole between the stages' sum and the clients' watch
        for job, responses in (("encoder", encoded), ("decoder", decoded)):
            stages: dict[str, float] = defaultdict(float)
            for response in responses:
                for timing in response.timings:
                    stages[timing.stage] += timing.seconds
            found = server.query(f'manypath_codec_stage_duration_seconds_sum{{job="{job}"}}')
            assert {dict(labels)["stage"] for labels in found} == set(stages)
            for labels, seconds in found.items():
                assert seconds == pytest.approx(stages[dict(labels)["stage"]], rel=1e-9)
                assert dict(labels)["device"] == "cpu"
                assert dict(labels)["service"] == job
            if job == "encoder":
                whole = server.value('grpc_server_handling_seconds_sum{job="encoder",grpc_method="Encode"}')
                assert sum(stages.values()) <= whole <= math.fsum(encode_seconds)
        close('manypath_build_info{job="encoder"}', 1)


def complaints(url: str) -> str:
    """What promtool has to say of a page of metrics."""
    command = [tool("promtool"), "check", "metrics"]
    run = subprocess.run(command, input=fetch(url), text=True, capture_output=True, check=False)
    return run.stdout + run.stderr + ("" if run.returncode == 0 else f"exit code {run.returncode}")


def test_promtool_has_nothing_to_say_of_any_service(stack):
    tool("promtool")
    for process in stack:
        assert complaints(process.metrics_url) == "", process.service


def test_promtool_has_nothing_to_say_of_metrics_in_use(start):  # noqa: F811
    tool("promtool")
    encoder, decoder = start("encoder"), start("decoder")
    with encoder.client() as encodes, decoder.client() as decodes:
        request = pb.EncodeRequest(picture=as_raw(photo()), rate=pb.Rate(max_bytes=3000))
        bitstream = encodes.Encode(request, timeout=SECONDS).bitstream
        decodes.Decode(pb.DecodeRequest(bitstream=bitstream), timeout=SECONDS)
    assert encoder.value("manypath_codec_budget_utilization_ratio_sum") == pytest.approx(len(bitstream) / 3000)
    for running in (encoder, decoder):
        assert complaints(running.metrics_url) == ""
