"""Writes the fixture of ``test_pinned`` anew, for shipped weights that have changed: python -m tests.codec.pin.

The encoder's transforms are floats, so a latent that lies on a rounding boundary may go either way on another
processor. The crop of the photo is therefore moved until all instruction sets of this machine write the same bytes.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image as Pictures

from manypath.codec import Codec
from manypath.image import Image

FOLDER = Path(__file__).with_name("pinned")
PHOTO = Path(__file__).parents[2] / "services/manypath_services/console/photos/pagoda.jpg"
MODEL = "edge"
QUALITIES = (1.0, 4.5, 8.0)
PATHS = ("perceptual", "mse", "classification", "segmentation", "detection")
HEIGHT, WIDTH = 72, 100  # pixels: neither a multiple of 64, nor of 16
INSTRUCTION_SETS = (
    {"THREADS": "2"},
    {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
)


def stream_file(quality: float) -> Path:
    return FOLDER / f"quality-{quality}.mpa"


def picture() -> Image:
    """Return what is encoded."""
    return np.asarray(Pictures.open(FOLDER / "picture.png"))


def encoded(codec: Codec) -> dict[float, bytes]:
    return {quality: codec.encode(picture(), quality=quality) for quality in QUALITIES}


def decoded(codec: Codec, streams: dict[float, bytes]) -> Image:
    """Return one sheet of what every path makes of every stream: a row a quality, a column a path."""
    rows = [codec.decode_paths(stream, [(path, 1.0) for path in PATHS]) for stream in streams.values()]
    return np.concatenate([np.concatenate(row, 1) for row in rows])


def _agree() -> bool:
    """Whether every instruction set writes what lies in the folder."""
    check = [sys.executable, "-m", "tests.codec.pin", "--check"]
    runs = (subprocess.run(check, env={**os.environ, **own}, check=False) for own in INSTRUCTION_SETS)
    return all(run.returncode == 0 for run in runs)


def main() -> None:
    import torch

    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    codec = Codec.load(MODEL, dtype="float32")  # so that every machine writes the same
    if "--check" in sys.argv:
        sys.exit(any(stream != stream_file(quality).read_bytes() for quality, stream in encoded(codec).items()))
    photo = np.asarray(Pictures.open(PHOTO).convert("RGB"))
    for left in range(270, photo.shape[1] - WIDTH, 7):
        Pictures.fromarray(photo[150 : 150 + HEIGHT, left : left + WIDTH]).save(FOLDER / "picture.png")
        streams = encoded(codec)
        for quality, stream in streams.items():
            stream_file(quality).write_bytes(stream)
        if _agree():
            Pictures.fromarray(decoded(codec, streams)).save(FOLDER / "decoded.png", optimize=True)
            print(f"{MODEL} {codec.model_digest}: {[len(stream) for stream in streams.values()]} bytes, left {left}")
            return
    sys.exit("no crop is written alike under all instruction sets")


if __name__ == "__main__":
    main()
