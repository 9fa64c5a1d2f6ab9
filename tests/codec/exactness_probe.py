"""One setting's part of the exactness test: write streams, read everybody's, print digests as JSON.

Usage: python -m tests.codec.exactness_probe FOLDER NAME MODEL...; a model is a shipped one, or a file in the folder.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from manypath import octets
from manypath.bitstream import parse
from manypath.decoding import StreamDecoder
from manypath.entropy.coder import Checksum
from manypath.geometry import MAX_PIXELS
from manypath.timings import StageTimings
from tests.codec.conftest import photo
from tests.codec.instruction_sets import in_force
from tests.codec.parts import Parts, parts


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def symbols_of(parts: Parts, stream: bytes) -> str:
    """Return a digest of y_hat: the exact integers that all later steps depend on."""
    parsed = parse(stream)
    decoder = StreamDecoder(parts.model, parts.coder, parsed.model_digest, "probe", MAX_PIXELS)
    with torch.inference_mode():
        code = torch.tensor([parsed.quality_code])
        y_hat = torch.cat(list(decoder.latents([parsed], code, StageTimings())), 1)
    return digest((y_hat * 4096).to(torch.int64).numpy().tobytes())  # finer than either kind of model's steps


def from_latents(parts: Parts, batch: int) -> str:
    """Return a digest of the chunks of fixed latents: no float transform is involved."""
    drawn = np.random.default_rng(7).normal(0, 2, (1, 8, 12, parts.codec.config.latent_channels))  # torch draws by CPU
    y = torch.from_numpy(np.round(drawn * 64) / 64).float().expand(batch, -1, -1, -1)
    with torch.inference_mode():
        # h_a is float: give it nothing to disagree on by asking for its answer's zero
        parts.model.hyper_gain.log2.data.fill_(-40.0)
        parts.model.gain.log2.data.fill_(2.0)  # the encoder's own gain is float: powers of two are exact
        chunks = parts.coder.encode(y, torch.full((batch,), 131), [Checksum() for _ in range(batch)], StageTimings())
    assert all(own == chunks[0] for own in chunks)
    return digest(*chunks[0])


def main() -> None:
    folder, name, models = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    batch = int(os.environ.get("BATCH", "1"))
    written: dict[str, str] = {}
    read: dict[str, dict[str, str]] = {}
    latents: dict[str, str] = {}
    for model in models:
        file = folder / f"{model}.safetensors"
        made = parts(file if file.exists() else model, dtype=os.environ.get("DTYPE", "float32"))
        for quality in (1.0, 4.5, 8.0):
            key = f"{model} {quality}"
            stream = made.codec.encode_batch([photo(150, 200)] * batch, quality=quality)[-1]
            (folder / f"{name}@{key}").write_bytes(stream)
            written[key] = symbols_of(made, stream)
            for file in folder.glob(f"*@{key}"):
                writer = file.name.split("@")[0]
                read.setdefault(writer, {})[key] = symbols_of(made, file.read_bytes())
        latents[model] = from_latents(made, batch)
    said = {
        **in_force(),
        "octets": str(octets.exact()),
        "threads": str(torch.get_num_threads()),
        "batch": str(batch),
        "dtype": str(next(made.model.g_s.parameters()).dtype),
    }
    print(json.dumps({"in_force": said, "written": written, "read": read, "from_latents": latents}))


if __name__ == "__main__":
    main()
