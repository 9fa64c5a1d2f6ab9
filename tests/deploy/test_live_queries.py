"""Every query of every dashboard and alert, on a Prometheus that scrapes real services under traffic."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from typing import NamedTuple

import grpc
import pytest
import yaml

from deploy.grafana.__main__ import BOARDS
from deploy.grafana.draw import concrete, draw
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_cli.service_process import ServiceProcess
from tests.deploy.manifests import ROOT
from tests.e2e.conftest import models  # noqa: F401  (a fixture)
from tests.e2e.test_prometheus import Prometheus, prometheus, tool
from tests.services.certificates import Authority
from tests.services.serving import MODEL, SECONDS, as_raw, photo

ELSEWHERE = "DCGM"  # metrics of another exporter, which this machine has no GPU for
QUERIES = [
    pytest.param(query.expression, id=f"{board.uid}-{panel.title}-{number}".replace(" ", "-"))
    for board in BOARDS
    for row in board.rows
    for panel in row.panels
    for number, query in enumerate(panel.queries)
    if ELSEWHERE not in query.expression
]
GROUPS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yaml").read_text())["groups"]
CAMERA = "import sys; from manypath_cli.main import main; sys.exit(main())"


class Live(NamedTuple):
    address: str
    server: Prometheus


@pytest.fixture(scope="module")
def live(models, tmp_path_factory):  # noqa: F811
    tool("prometheus")
    folder = tmp_path_factory.mktemp("live")
    secure = Authority(folder / "authority").issue("worker").settings
    with ExitStack() as ends:

        def start(service, **settings):
            return ends.enter_context(ServiceProcess(service, settings))

        worker = start("worker", models=models)
        # nobody calls this one; its certificate shows
        certified = start("worker", models=models, **{name: str(file) for name, file in secure.items()})
        decoder = start("decoder", model=MODEL, workers=json.dumps({"classification": f"{worker.target}/colours"}))
        encoder = start("encoder", model=MODEL, uplink=decoder.target, spool=folder / "uplink")
        for process in (worker, decoder, encoder):
            process.wait_ready()
        options = ["--demo", "--every", "0.2", "--encoder", encoder.target, "--spool", folder / "camera"]
        camera = subprocess.Popen(
            [sys.executable, "-c", CAMERA, "camera", *map(str, options), "--metrics-port", "0"],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        )
        ends.callback(camera.communicate, timeout=SECONDS)
        ends.callback(camera.send_signal, signal.SIGTERM)
        page = next(line for line in camera.stderr if "metrics at" in line).split()[-1]
        targets = {
            "manypath-worker": worker.metrics_url,
            "manypath-worker-certified": certified.metrics_url,
            "manypath-decoder": decoder.metrics_url,
            "manypath-encoder": encoder.metrics_url,
            "manypath-camera": page,
        }
        server = ends.enter_context(prometheus(folder, targets))
        traffic(encoder.target, decoder.target)
        yield Live(server.address, server)


def traffic(encoder: str, decoder: str) -> None:
    picture = as_raw(photo())
    with grpc.insecure_channel(encoder) as to_encoder, grpc.insecure_channel(decoder) as to_decoder:
        encodes, decodes = pb_grpc.EncoderServiceStub(to_encoder), pb_grpc.DecoderServiceStub(to_decoder)
        for quality in (2.0, 5.0):
            encodes.Encode(pb.EncodeRequest(picture=picture, rate=pb.Rate(quality=quality)), timeout=SECONDS)
        stream = encodes.Encode(pb.EncodeRequest(picture=picture, rate=pb.Rate(max_bytes=3000)), timeout=SECONDS)
        task = pb.TaskRequest(task=pb.TASK_CLASSIFICATION)
        encodes.Process(pb.ProcessRequest(picture=picture, tasks=[task]), timeout=SECONDS)
        decodes.Decode(pb.DecodeRequest(bitstream=stream.bitstream), timeout=SECONDS)
        with pytest.raises(grpc.RpcError):
            decodes.Decode(pb.DecodeRequest(bitstream=stream.bitstream[:-7]), timeout=SECONDS)


@pytest.mark.parametrize("expression", QUERIES)
def test_a_query_of_a_dashboard_answers_with_series(live, expression):
    assert live.server.query(concrete(expression, "5s"))


RULES = [pytest.param(rule, id=rule.get("alert") or rule["record"]) for group in GROUPS for rule in group["rules"]]


@pytest.mark.parametrize("rule", RULES)
def test_what_a_rule_looks_at_is_there(live, rule):
    """A rule that is silent because nothing is wrong, not because nothing is there."""
    for wanted in looked_at(rule["expr"]):
        assert live.server.query(wanted)


def looked_at(expression: str) -> set[str]:
    """Return the selectors of an expression, without their time ranges and without the labels of what is wrong."""
    import promql_parser

    found: set[str] = set()

    def walk(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            if node.name and not node.name.startswith("job:"):
                found.add(node.name)
            return
        for name in ("expr", "lhs", "rhs", "vs", "vector_selector"):
            child = getattr(node, name, None)
            if child is not None:
                walk(child)
        for child in getattr(node, "args", None) or ():
            walk(child)

    walk(promql_parser.parse(expression))
    return found


def test_dashboards_can_be_drawn_from_it(live, tmp_path):
    until = time.monotonic() + SECONDS
    (board,) = [board for board in BOARDS if board.uid == "manypath-saturation"]
    while draw(live.address, board, tmp_path / "picture.png", minutes=1, interval="5s") < 9:
        assert time.monotonic() < until
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    with urllib.request.urlopen(f"{live.address}/api/v1/targets", timeout=SECONDS) as page:  # noqa: S310
        targets = json.load(page)["data"]["activeTargets"]
    assert {target["health"] for target in targets} == {"up"}
