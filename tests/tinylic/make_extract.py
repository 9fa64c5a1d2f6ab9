"""Make the extract of the reference outputs that travels in the repository: ``python -m tests.tinylic.make_extract``.

It holds, for quality 4: the picture; the decoder's latent y_hat, to 16 bits of fraction (an error of 1e-5); the
hyper-latent's symbols; and of each stage's output 256 values, their places, and the norm of the whole.
"""

import io
import json
import os
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.tinylic.filling import filled

FOLDER = Path(__file__).parent / "extract"
VALUES = 256
STAGES = ("g_a", "h_a", "h_s", "x_hat/task0/q_task1", "x_hat/task1/q_task4.5", "x_hat/task2/q_task8")


def main() -> None:
    source = Path(os.environ["MANYPATH_CONFORMANCE"]) / "upstream-mpa"
    with np.load(source / "reference.npz") as stored:
        reference = {key.removeprefix("q4/"): stored[key] for key in stored.files if key.startswith(("q4/", "image"))}
    bits = next(
        own["estimated_bits"] for own in json.loads((source / "streams.json").read_text()) if own["quality"] == 4
    )
    picture = io.BytesIO()
    Image.fromarray(reference.pop("image")).save(picture, "PNG", optimize=True)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "picture.png").write_bytes(picture.getvalue())

    rounded = (reference["y_hat"].view(np.uint32) + 0x80) >> 8  # 24 of 32 bits
    planes = np.stack([(rounded >> shift) & 0xFF for shift in (16, 8, 0)]).astype(np.uint8)
    median = filled("entropy_bottleneck.quantiles", (192, 1, 3))[:, 0, 1, None, None]
    gain = filled("HyperGain", (8, 192))[3, :, None, None]
    symbols = np.round(reference["h_a"] * np.abs(gain) - median).astype(np.int16)
    random = np.random.default_rng(4)
    samples = {}
    for key in STAGES:
        whole = reference[key]
        places = np.sort(random.choice(whole.size, VALUES, replace=False)).astype(np.int32)
        samples[f"{key}/places"] = places
        samples[f"{key}/values"] = whole.reshape(-1)[places]
        samples[f"{key}/norm"] = np.linalg.norm(whole.astype(np.float64))
    np.savez_compressed(
        FOLDER / "stages.npz",
        symbols=symbols,
        bits=np.array([bits["y"], bits["z"]]),
        **samples,
    )
    (FOLDER / "y_hat.zlib").write_bytes(zlib.compress(planes.tobytes(), 9))
    for file in sorted(FOLDER.iterdir()):
        print(file.name, file.stat().st_size)


if __name__ == "__main__":
    main()
