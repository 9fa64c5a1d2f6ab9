"""How far real bytes are from the information in the symbols: ``python -m benchmarks.overhead --pictures DIR``.

The estimate is the likelihood of the symbols that were really coded: a Gaussian integrated over each symbol's cell at
the scale that its index stands for, and the stored prior for the hyper-latent. Real bytes include the header.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from manypath.bitstream import HEADER_BYTES, parse
from manypath.codec import Codec
from manypath.entropy.context import Step
from manypath.entropy.tables import PROBABILITY_BITS, scale_table
from manypath.gain import quality_to_code
from manypath.image import Image as Image8

ALLOWED_SHARE, ALLOWED_BYTES = 0.01, 32  # of the estimate, beyond it


@torch.inference_mode()
def estimate_bytes(codec: Codec, image: Image8, quality: float) -> float:
    """Return the information in a picture's symbols, in bytes. For pictures of one band."""
    model = codec._model
    code = torch.tensor([quality_to_code(quality)])
    height = -(-image.shape[0] // 64) * 64
    y = codec._analyse([image], 0, height, code)
    z = torch.round(model.h_a(y) * model.hyper_gain(code)[:, None, None]).clamp_(-127, 127)
    hyper = codec._coder._hyper
    bits = 0.0  # a symbol beyond its table counts as the table's last; it is that rare
    for channel, row in enumerate(hyper.cdfs):
        at = z[..., channel].flatten().long().numpy() + int(hyper.bounds[channel])
        counts = np.diff(np.asarray(row))
        bits -= float(np.log2(counts[np.clip(at, 0, len(counts) - 2)] / 2**PROBABILITY_BITS).sum())
    scales = torch.from_numpy(scale_table())
    gained = (y * model.gain(code)[:, None, None]).flatten(1, 2)
    total = [bits]

    def visit(step: Step, where: Tensor, means: Tensor, indexes: Tensor) -> Tensor:
        symbols = torch.round(gained[:, where, step.start : step.start + step.width] - means)
        symbols = torch.where(indexes == 0, 0.0, symbols)
        distance, scale = symbols.abs().double(), scales[indexes.long()]
        upper = torch.special.erfc((distance - 0.5) / scale / 2**0.5)
        lower = torch.special.erfc((distance + 0.5) / scale / 2**0.5)
        likelihood = torch.where(indexes == 0, 1.0, 0.5 * (upper - lower)).clamp_min(1e-9)
        total.append(float(-torch.log2(likelihood).sum()))
        return means + symbols

    model.context.walk(model.h_s(z, code), code, visit)
    return sum(total) / 8


def main() -> int:
    """Print the table and whether every picture is within the promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True, help="folder of PNG pictures of at most 4 Mpx")
    parser.add_argument("--model", default="edge", help="(default: %(default)s)")
    args = parser.parse_args()
    codec = Codec.load(args.model)
    files = sorted(args.pictures.rglob("*.png"))
    print("quality  estimate  real    beyond  of it container  worst picture")
    sound = True
    for quality in tqdm(range(1, 9), disable=None):
        rows = []
        for file in files:
            image = np.asarray(Image.open(file).convert("RGB"))
            stream = codec.encode(image, quality=quality)
            chunks = sum(len(chunk) for band in parse(stream).bands for chunk in band)
            rows.append((estimate_bytes(codec, image, quality), len(stream), len(stream) - chunks))
        estimate, real, container = np.mean(rows, axis=0)
        worst = max(own_real - own * (1 + ALLOWED_SHARE) for own, own_real, _ in rows)
        sound &= worst <= ALLOWED_BYTES
        print(
            f"{quality:<9}{estimate:<10.0f}{real:<8.0f}{100 * (real / estimate - 1):+.2f} %  "
            f"{container:<15.0f} 1 % {worst:+.0f} bytes"
        )
    print(f"{'PASS' if sound else 'MISSED'}: real <= 1.01 * estimate + {ALLOWED_BYTES} bytes; header {HEADER_BYTES}")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
