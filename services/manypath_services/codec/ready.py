"""Loading a codec until it is fit to serve: weights, a warm-up, and a self-check. Not for the worker.

The self-check has two parts. A picture goes through this machine's encoder and decoder. And where the folder
``selfcheck`` beside this module has a bitstream for the loaded weights, written on another machine, it must
decode here: its header carries a checksum of the symbols, so a machine whose entropy parameters differ by one
bit finds out before its first customer does. ``python -m manypath_services.codec.ready MODEL`` writes one.
"""

from __future__ import annotations

import logging
import sys
import time
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from manypath import BitstreamError, Codec
from manypath_services.codec.metrics import CodecMetrics
from manypath_services.codec.settings import CodecSettings

_log = logging.getLogger(__name__)
_SIZE = (100, 150)  # pixels; padded on both sides, so that cropping is checked as well


class SelfCheckError(Exception):
    """This machine does not decode what it must; it would only spread damage."""


def load_codec(settings: CodecSettings, metrics: CodecMetrics) -> Codec:
    """Load, warm and check a codec; takes seconds.

    Raises:
        CheckpointError: there are no such weights.
        SelfCheckError: they do not decode what they must.
    """
    begun = time.perf_counter()
    codec = Codec.load(settings.model, device=_device(settings), dtype=settings.dtype)
    try:
        compared = self_check(codec)
    except SelfCheckError:
        metrics.selfcheck_mismatch.set(1)
        raise
    seconds = time.perf_counter() - begun
    metrics.model_load.set(seconds)
    metrics.describe(model=codec.name, model_digest=codec.model_digest, device=codec.device)
    _log.info(
        "model loaded",
        extra={
            "model": codec.name,
            "model_digest": codec.model_digest,
            "device": codec.device,
            "seconds": round(seconds, 3),
            "foreign_selfcheck": compared,
        },
    )
    return codec


def load_another(settings: CodecSettings) -> Codec:
    """Load the same codec once more, for another thread; what was checked of the first holds for it."""
    codec = Codec.load(settings.model, device=_device(settings), dtype=settings.dtype)
    codec.decode(codec.encode(check_picture()))
    return codec


def _device(settings: CodecSettings) -> str:
    """Return where the network runs: the choice is logged with the model, and is a label of its metrics."""
    if settings.device != "auto":
        return settings.device
    import torch  # not before: it reads the environment that the process prepares

    return "cuda" if torch.cuda.is_available() else "cpu"


def self_check(codec: Codec) -> bool:
    """Check that ``codec`` decodes exactly; warms it along the way.

    Returns:
        Whether a bitstream from another machine was there to be checked as well.

    Raises:
        SelfCheckError: it does not.
    """
    requests = [(path, 1.0) for path in sorted(codec.trained_paths)]
    own = codec.encode(check_picture())
    foreign = foreign_stream(codec.model_digest)
    for origin, stream in (("this machine's", own), ("the shipped", foreign)):
        if stream is None:
            continue
        try:
            first = codec.decode_paths(stream, requests)
            again = codec.decode_paths(stream, requests)
        except BitstreamError as err:
            raise SelfCheckError(f"{origin} self-check stream does not decode: {err}") from err
        if any(not np.array_equal(one, two) for one, two in zip(first, again, strict=True)):
            raise SelfCheckError(f"{origin} self-check stream decodes to two different pictures")
    return foreign is not None


def foreign_stream(model_digest: str) -> bytes | None:
    """Return the shipped self-check stream of the weights with this digest; None if there is none."""
    file = resources.files("manypath_services.codec") / "selfcheck" / f"{model_digest}.mpa"
    return file.read_bytes() if file.is_file() else None


def write_foreign_stream(model: str) -> Path:
    """Write the self-check stream of a model, for other machines to check themselves against; return the file."""
    codec = Codec.load(model)
    file = Path(__file__).parent / "selfcheck" / f"{codec.model_digest}.mpa"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(codec.encode(check_picture()))
    return file


def check_picture() -> npt.NDArray[np.uint8]:
    """Return the self-check's picture, uint8 [H, W, 3]: ramps, edges and noise, the same everywhere."""
    height, width = _SIZE
    rows, columns = np.mgrid[0:height, 0:width]
    ramps = np.stack([rows * 2, columns, (rows + columns) // 2], axis=-1)
    noise = np.random.default_rng(5).integers(0, 48, (height, width, 1))
    squares = 96 * ((rows // 16 + columns // 16) % 2)[..., None]
    return np.asarray(np.clip((ramps + noise + squares) // 2, 0, 255), dtype=np.uint8)


if __name__ == "__main__":
    sys.stdout.write("".join(f"{write_foreign_stream(name)}\n" for name in sys.argv[1:]))
