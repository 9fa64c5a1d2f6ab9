"""An independent implementation of the protocol, KServe, on the other side of the wire.

It wants an older protobuf, so it lives in an environment that `python tests/oip_peer/install.py` makes.
"""

import asyncio
import base64
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import descriptor_pb2

from manypath_api.inference import open_inference_pb2 as pb
from manypath_services.inference.client import InferenceClient, InferenceError, Label
from tests.oip_peer.install import DEFAULT_FOLDER
from tests.worker.conftest import Serve

SCRIPTS = Path(__file__).resolve().parents[1] / "oip_peer"
Command = Callable[..., list[str]]


@pytest.fixture(scope="module")
def command() -> Command:
    """The command line of one of the peer's scripts."""
    python = Path(os.environ.get("MANYPATH_TEST_OIP_PEER", DEFAULT_FOLDER)) / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{python} is missing; python tests/oip_peer/install.py makes it")
    return lambda script, *arguments: [str(python), "-W", "ignore", str(SCRIPTS / script), *arguments]


@pytest.fixture(scope="module")
def kserve(command: Command) -> Iterator[str]:
    """KServe serving its model "colours"; gives the target."""
    with subprocess.Popen(command("server.py"), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def test_our_client_classifies_on_kserve(kserve: str) -> None:
    """The scores are means of what arrived: they show crop, normalisation and order of the axes."""
    image = np.full((100, 140, 3), (255, 102, 0), np.uint8)
    image[:6] = image[-6:] = (0, 0, 255)  # outside the central 7/8
    image[:, :26] = image[:, -26:] = (0, 0, 255)  # outside the central square

    async def ask() -> tuple[bool, list[Label]]:
        names = ["red", "green", "blue", "grey"]
        async with InferenceClient(kserve, "colours", timeout_seconds=20, names=names) as client:
            return await client.ready(), await client.classify(image, 3, request_id="abc")

    ready, labels = asyncio.run(ask())
    assert ready
    assert [(label.index, label.name) for label in labels] == [(0, "red"), (3, "grey"), (1, "green")]
    assert [label.score for label in labels] == pytest.approx([1, -0.2 / 3, -0.2], abs=1e-3)


def test_kserves_refusal_reaches_our_caller(kserve: str) -> None:
    async def ask() -> list[Label]:
        async with InferenceClient(kserve, "sounds", timeout_seconds=20) as client:
            return await client.classify(np.zeros((8, 8, 3), np.uint8))

    with pytest.raises(InferenceError, match="NOT_FOUND: Model with name sounds does not exist"):
        asyncio.run(ask())


def test_kserves_client_classifies_on_our_worker(command: Command, serve: Serve) -> None:
    async def ask() -> str:
        async with serve() as target:
            process = await asyncio.create_subprocess_exec(
                *command("client.py", target), stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
            assert process.returncode == 0
            return output.decode()

    assert asyncio.run(ask()).splitlines() == [
        "True True True",
        "colours scores 1.000 0.000 0.200",
        "colours scores 1.000 0.000 0.200",
    ]


def wire_format(file: descriptor_pb2.FileDescriptorProto) -> dict[str, object]:
    """Everything that decides the bytes: numbers, types, labels and names."""
    found: dict[str, object] = {"package": file.package}
    for method in file.service[0].method:
        found[f"{file.service[0].name}.{method.name}"] = (method.input_type, method.output_type)

    def visit(messages: object, prefix: str) -> None:
        for message in messages:  # type: ignore[attr-defined]
            for field in message.field:
                found[f"{prefix}{message.name}.{field.name}"] = (
                    field.number,
                    field.type,
                    field.label,
                    field.type_name,
                )
            visit(message.nested_type, f"{prefix}{message.name}.")

    visit(file.message_type, "")
    return found


def test_our_proto_has_the_protocols_names_and_numbers(command: Command) -> None:
    ours, theirs = descriptor_pb2.FileDescriptorProto(), descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(ours)
    printed = subprocess.run(command("descriptor.py"), stdout=subprocess.PIPE, check=True).stdout
    theirs.ParseFromString(base64.b64decode(printed))
    expected = {
        name: value for name, value in wire_format(theirs).items() if "RepositoryModel" not in name
    }  # an extension of KServe's
    found = wire_format(ours)
    extra = set(found) - set(expected)
    assert {name: found[name] for name in expected} == expected
    assert extra == {"InferParameter.double_param", "InferParameter.uint64_param"}  # Triton's
