"""The camera client: what cameras give arrives once, whatever is killed on the way, and cameras may change."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manypath_camera.camera import Outcome
from manypath_camera.configuration import Configuration
from manypath_camera.spool import Spool
from manypath_cli.service_process import ServiceProcess
from tests.camera.waiting import wait_for
from tests.services.serving import MODEL, photo

ROOT = Path(__file__).resolve().parents[2]


def write_pictures(folder, numbers, size=(48, 40)):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        file = io.BytesIO()
        Image.fromarray(np.roll(photo(size[1], size[0]), number, axis=1)).save(file, "JPEG")
        path = folder / f"{number:04d}.jpg"
        path.write_bytes(file.getvalue())
        os.utime(path, ns=(10**18 + number, 10**18 + number))  # in order, whatever the clock does


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_folder_s_pictures_arrive_in_order_with_what_they_may_spend(start, run_client, tmp_path):
    write_pictures(tmp_path / "in", range(6))
    results = tmp_path / "results.jsonl"
    decoder = start("decoder", results_file=results)
    encoder = start("encoder", uplink=decoder.target, spool=tmp_path / "spool", spool_min_free_bytes=0)
    client = run_client(
        encoder.target, {"gate": {"source": str(tmp_path / "in"), "after": "delete"}}, rate={"max_bytes": 1500}
    )
    wait_for(lambda: len(lines(results)) == 6)
    told = lines(results)
    assert [line["origin"]["sequence"] for line in told] == [str(number) for number in range(1, 7)]
    assert all(line["bytes"] <= 1500 and line["camera"] == "gate" for line in told)
    assert not list((tmp_path / "in").iterdir())
    assert client.cameras["gate"].outcomes[Outcome.TAKEN] == 6


def test_a_budget_below_the_lowest_quality_still_sends_and_owes(start, run_client, tmp_path):
    results = tmp_path / "results.jsonl"
    decoder = start("decoder", results_file=results)
    encoder = start("encoder", uplink=decoder.target, spool=tmp_path / "spool", spool_min_free_bytes=0)
    link = {"bits_per_second": 16_000, "max_delay_seconds": 0.5}  # 700 bytes a frame
    client = run_client(encoder.target, {"c": {"source": "demo:", "every": 0.1}}, rate={"link": link})
    wait_for(lambda: len(lines(results)) >= 2)
    assert lines(results)[0]["facts"]["quality"] == 1
    wait_for(lambda: client.cameras["c"].outcomes[Outcome.BUDGET] > 0)


def test_pictures_of_one_s_own_go_the_same_way(start, run_client, tmp_path):
    results = tmp_path / "results.jsonl"
    decoder = start("decoder", results_file=results)
    encoder = start("encoder", uplink=decoder.target, spool=tmp_path / "spool", spool_min_free_bytes=0)
    client = run_client(encoder.target, {}, rate={"max_bytes": 2000}, pictures=["perceptual"])
    assert client.put("mine", photo(40, 48)) == 1
    file = io.BytesIO()
    Image.fromarray(photo(40, 48)).save(file, "JPEG")
    assert client.put("mine", file.getvalue()) == 2
    wait_for(lambda: len(lines(results)) == 2)
    assert [(line["camera"], line["bytes"] <= 2000) for line in lines(results)] == [("mine", True)] * 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give one of"),
        (["--demo", "--source", "x"], "give one of"),
        (["--source", "/no/such/thing", "--quality", "12"], "quality"),
        (["--demo", "--name", "a b"], "1..64 letters"),
        (["/no/such/file.yaml"], "cannot read"),
    ],
)
def test_the_command_says_what_it_cannot_do(words, told, capsys):
    from manypath_cli.main import main

    assert main(["camera", *words]) != 0
    assert told in capsys.readouterr().err


def test_cameras_are_added_changed_and_removed_while_it_runs_and_a_mistake_is_only_one_camera_s(
    start, run_client, tmp_path, caplog
):
    decoder = start("decoder")
    encoder = start("encoder", uplink=decoder.target, spool=tmp_path / "spool", spool_min_free_bytes=0)
    client = run_client(encoder.target, {"one": {"source": "demo:", "every": 0.2}})
    wait_for(lambda: client.cameras and client.cameras["one"].outcomes[Outcome.TAKEN])
    first = client.cameras["one"]
    two = {"source": "demo:", "every": 0.2, "turn": 90, "on_change": 0.9}
    whole = {"one": {"source": "demo:", "every": 0.2}, "two": two, "bad": {"source": "nonsense"}}
    client.apply(Configuration.model_validate({"encoder": encoder.target, "cameras": whole}))
    assert set(client.cameras) == {"one", "two"}
    assert client.cameras["one"] is first
    assert "camera bad is left out" in caplog.text
    wait_for(lambda: client.cameras["two"].outcomes[Outcome.UNCHANGED])
    whole["one"]["every"] = 0.3
    del whole["two"], whole["bad"]
    client.apply(Configuration.model_validate({"encoder": encoder.target, "cameras": whole}))
    assert set(client.cameras) == {"one"}
    assert client.cameras["one"] is not first
    wait_for(lambda: client.cameras["one"].outcomes[Outcome.TAKEN])


def test_a_slow_encoder_makes_frames_skipped_and_not_late(start, run_client, tmp_path):
    encoder = start("encoder", uplink="127.0.0.1:1", spool=tmp_path / "spool", spool_min_free_bytes=0)
    client = run_client(encoder.target, {"c": {"source": "demo:", "every": 0.05}})
    wait_for(lambda: client.sender.live_after is not None)
    with encoder.busy():
        wait_for(lambda: client.cameras["c"].outcomes[Outcome.BEHIND] > 5)
        assert client.spool.items <= 10
    wait_for(lambda: client.spool.items <= 4)


def test_ten_thousand_frames_of_an_outage_are_drained_once_and_in_order_with_a_restart_in_it(
    start, edges, stream, tmp_path
):
    from manypath_api.v1 import codec_pb2 as pb
    from tests.camera.edge import header

    count = 10_000
    results = tmp_path / "results.jsonl"
    decoder = start("decoder", results_file=results)
    with Spool(tmp_path / "edge") as spool:
        frame = pb.BitstreamFrame(header=header("gate"), bitstream=stream).SerializeToString()
        for _ in range(count // 500):
            spool.put_many([("gate", 0.0, frame)] * 500)
    first = edges(decoder.target)
    wait_for(lambda: first.spool.items < count - 1000, 120)
    first.stop()  # in the middle of the drain
    first.spool.close()
    assert len(lines(results)) < count
    second = edges(decoder.target)
    wait_for(lambda: second.spool.items == 0, 240)
    assert [line["sequence"] for line in lines(results)] == list(range(1, count + 1))


class Edge:
    """Decoder, encoder and camera client as processes with one folder each, killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results.jsonl"
        self.processes: dict[str, object] = {}
        self.ports: dict[str, int] = {}

    def start(self, part: str) -> None:
        common = {"model": MODEL, "port": self.ports.get(part, 0)}
        if part == "decoder":
            settings = {"results_file": self.results, "sessions_file": self.folder / "sessions.sqlite"}
            process = ServiceProcess("decoder", common | settings)
        elif part == "encoder":
            uplink = f"127.0.0.1:{self.ports['decoder']}"
            spool = {"spool": self.folder / "uplink", "spool_min_free_bytes": 0}
            process = ServiceProcess("encoder", common | spool | {"uplink": uplink})
        else:
            source = [
                "--source",
                str(self.folder / "in"),
                "--max-bytes",
                "1500",
                "--spool",
                str(self.folder / "camera"),
            ]
            words = ["--encoder", f"127.0.0.1:{self.ports['encoder']}", "--metrics-port", "0"]
            process = subprocess.Popen(
                [sys.executable, "-m", "manypath_cli", "camera", *source, *words], cwd=ROOT, stderr=subprocess.DEVNULL
            )
        if part != "camera":
            self.ports[part] = process.ports().grpc
        self.processes[part] = process

    def kill(self, part: str) -> None:
        process = self.processes.pop(part)
        os.kill(process.pid, signal.SIGKILL)
        if isinstance(process, ServiceProcess):
            process.stop()
        else:
            process.wait()

    def close(self) -> None:
        for part in list(self.processes):
            self.kill(part)


def test_whatever_is_killed_at_whatever_step_every_picture_arrives_once(tmp_path):
    chance = random.Random(11)
    count = 40
    edge = Edge(tmp_path)
    try:
        for part in ("decoder", "encoder"):
            edge.start(part)
        write_pictures(tmp_path / "in", range(count))
        edge.start("camera")
        kills = ["camera", "encoder", "decoder"]
        for part in kills:
            before = len(lines(edge.results))
            wait_for(lambda before=before: len(lines(edge.results)) > min(before, count - 1), 120, every=0.02)
            time.sleep(chance.uniform(0.0, 0.2))  # any step of a frame's life
            edge.kill(part)
            edge.start(part)
        wait_for(lambda: len({line["origin"]["sequence"] for line in lines(edge.results)}) == count, 120)
        told = lines(edge.results)
        assert len(told) == count, "a frame was delivered twice"
    finally:
        edge.close()
