"""A decoder that is told to end under load loses no request that it accepted."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

from manypath.codec import Codec
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_cli.service_process import ServiceProcess
from manypath_services.common.client import DECODER_SERVICE, channel_options
from tests.services.serving import MODEL, SECONDS, photo

CLIENTS = 6


class Load:
    """Clients that ask without pause until they are told to stop."""

    def __init__(self, target: str, options: list) -> None:
        self._channel = grpc.insecure_channel(target, options=options)
        self._stub = pb_grpc.DecoderServiceStub(self._channel)
        self._request = pb.DecodeRequest(bitstream=Codec.load(MODEL).encode(photo()))
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._enough = threading.Condition(self._lock)
        self.answered: list[str] = []
        self.refused: list[grpc.StatusCode] = []
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._clients = [self._pool.submit(self._ask, number) for number in range(CLIENTS)]

    def _ask(self, number: int) -> None:
        count = 0
        while not self._end.is_set():
            count += 1
            name = f"{number}/{count}"
            try:
                self._stub.Decode(self._request, timeout=SECONDS, metadata=(("x-request-id", name),))
                self._note(self.answered, name)
            except grpc.RpcError as err:
                self._note(self.refused, err.code())
                return

    def _note(self, notes: list, note: object) -> None:
        with self._enough:
            notes.append(note)
            self._enough.notify_all()

    def wait_for(self, answers: int) -> None:
        """Return when that many more were answered."""
        with self._enough:
            wanted = len(self.answered) + answers
            assert self._enough.wait_for(lambda: len(self.answered) >= wanted or self.refused, SECONDS)

    def end(self) -> None:
        self._end.set()
        for client in self._clients:
            client.result(SECONDS)
        self._pool.shutdown()
        self._channel.close()


def calls(process: ServiceProcess) -> dict[str, str]:
    """Status of each call that the process began, by request id."""
    lines = [json.loads(line) for line in process.log if '"message": "call"' in line]
    return {line["request_id"]: line["grpc_code"] for line in lines}


def test_every_accepted_request_is_answered_before_the_process_ends():
    with ServiceProcess("decoder", {"model": MODEL}) as process:
        process.wait_ready()
        load = Load(process.target, options=[("grpc.enable_retries", 0)])  # a refusal is seen as one
        load.wait_for(3 * CLIENTS)
        assert process.stop() == 0
        load.end()
    seen = calls(process)
    assert set(seen.values()) <= {"OK", "UNAVAILABLE"}
    assert {name for name, code in seen.items() if code == "OK"} == set(load.answered)
    # each client went on asking until nobody was there
    assert load.refused == [grpc.StatusCode.UNAVAILABLE] * CLIENTS


def test_a_server_that_drains_beside_another_costs_no_client_an_error():
    settings = {"model": MODEL, "drain_seconds": 0.5}
    with ServiceProcess("decoder", settings) as leaving, ServiceProcess("decoder", settings) as staying:
        leaving.wait_ready()
        staying.wait_ready()
        both = f"ipv4:{leaving.target},{staying.target}"
        load = Load(both, channel_options(DECODER_SERVICE))
        load.wait_for(4 * CLIENTS)
        assert leaving.stop() == 0
        load.wait_for(2 * CLIENTS)
        load.end()
    assert load.refused == []
    assert len(calls(leaving)) >= CLIENTS
    assert set(calls(leaving)) | set(calls(staying)) == set(load.answered)
