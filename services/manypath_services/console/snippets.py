"""The same call from a terminal and from Python, to be copied."""

from __future__ import annotations

import json
import shlex

from manypath_services.console.choices import Choices, number
from manypath_services.console.settings import ConsoleSettings

_FIELDS = {"quality": "quality", "bytes": "max_bytes", "bpp": "target_bpp"}
_JSON_FIELDS = {"quality": "quality", "bytes": "maxBytes", "bpp": "targetBpp"}


def grpcurl_snippet(choices: Choices, name: str, settings: ConsoleSettings) -> str:
    """Return two lines for a shell: encode, then decode along the chosen path."""
    rate = json.dumps({_JSON_FIELDS[choices.rate.kind]: _plain(choices)})
    pictures = json.dumps([_path_request(choices)])
    return (
        f"base64 -w0 {shlex.quote(name)} | jq -Rs '{{picture: {{file: .}}, rate: {rate}}}' |\n"
        f"  grpcurl -plaintext -max-msg-sz 67108864 -d @ {settings.encoder} manypath_api.v1.EncoderService/Encode |\n"
        f"  jq '{{bitstream, pictures: {pictures}}}' |\n"
        f"  grpcurl -plaintext -max-msg-sz 67108864 -d @ {settings.decoder} manypath_api.v1.DecoderService/Decode |\n"
        "  jq -r '.pictures[0].picture.file' | base64 -d > again.png\n"
    )


def python_snippet(choices: Choices, name: str, settings: ConsoleSettings) -> str:
    """Return a program that does the same."""
    share = "" if choices.share == 1.0 else f", task_share={number(choices.share)}"
    return f"""\
import asyncio
from pathlib import Path

from manypath_api.v1 import codec_pb2, codec_pb2_grpc
from manypath_services.common.client import DECODER_SERVICE, ENCODER_SERVICE, connect


async def main() -> None:
    async with (
        connect("{settings.encoder}", ENCODER_SERVICE) as encoder,
        connect("{settings.decoder}", DECODER_SERVICE) as decoder,
    ):
        picture = codec_pb2.Picture(file=Path({name!r}).read_bytes())
        rate = codec_pb2.Rate({_FIELDS[choices.rate.kind]}={_plain(choices)})
        encoded = await codec_pb2_grpc.EncoderServiceStub(encoder).Encode(
            codec_pb2.EncodeRequest(picture=picture, rate=rate)
        )
        path = codec_pb2.PathRequest(path_name="{choices.path}"{share})
        decoded = await codec_pb2_grpc.DecoderServiceStub(decoder).Decode(
            codec_pb2.DecodeRequest(bitstream=encoded.bitstream, pictures=[path])
        )
    print(encoded.facts.bytes, "bytes,", round(encoded.facts.bpp, 3), "bpp")
    Path("again.png").write_bytes(decoded.pictures[0].picture.file)


asyncio.run(main())
"""


def _plain(choices: Choices) -> float | int:
    value = choices.rate.value
    return int(value) if choices.rate.kind == "bytes" or value == int(value) else value


def _path_request(choices: Choices) -> dict[str, object]:
    wanted: dict[str, object] = {"pathName": choices.path}
    if choices.share != 1.0:
        wanted["taskShare"] = choices.share
    return wanted
