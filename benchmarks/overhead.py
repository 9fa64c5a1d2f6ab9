"""How far real bytes are from the information in the symbols: ``python -m benchmarks.overhead --pictures DIR``.

The estimate is the likelihood of the symbols that were really coded: a Gaussian integrated over each symbol's cell at
the scale that its index stands for, and the stored prior for the hyper-latent. Real bytes include the header.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.command import command
from manypath.bitstream import HEADER_BYTES, parse
from manypath.codec import Codec
from manypath.entropy.coder import Checksum, RowNumbers, StripDecoder, Symbols
from manypath.entropy.escapes import SYMBOL_LIMIT, Escapes
from manypath.entropy.schedule import Step
from manypath.entropy.tables import SKIPPED_INDEX, scale_table
from manypath.geometry import LATENT_PIXELS, WINDOW_PIXELS
from manypath.timings import StageTimings
from manypath.tinylic import context as multistage
from manypath.tinylic.config import TinyLICConfig
from manypath_pictures.reader import read_picture

ALLOWED_SHARE, ALLOWED_BYTES = 0.01, 32  # of the estimate, beyond it
FLOOR = 1e-9  # likelihoods below it count as it, as in training


@functools.cache
def gaussian_bits(published: bool) -> npt.NDArray[np.float64]:
    """Return the information of a symbol's cell, float64 [scale index, |symbol|]; skipped ones tell nothing.

    Args:
        published: for the published family, which has scales of its own and skips nothing.
    """
    scales = torch.tensor(multistage.scale_table() if published else scale_table(), dtype=torch.float64)[:, None]
    distance = torch.arange(SYMBOL_LIMIT + 1, dtype=torch.float64)
    upper, lower = (torch.special.erfc((distance + side) / scales / 2**0.5) for side in (-0.5, 0.5))
    bits = -torch.log2((0.5 * (upper - lower)).clamp_min(FLOOR)).numpy()
    if not published:
        bits[SKIPPED_INDEX] = 0.0
    return bits


@torch.inference_mode()
def estimate_bytes(codec: Codec, stream: bytes) -> float:
    """Return the information in the symbols of a stream of one strip, in bytes."""
    parsed, coder = parse(stream), codec._coder
    (chunks,) = parsed.strips
    height, width = (-(-side // WINDOW_PIXELS) * WINDOW_PIXELS for side in (parsed.height, parsed.width))
    rows = coder.hyper_rows(height * width // WINDOW_PIXELS**2, torch.tensor([parsed.quality_code]))
    hyper = StripDecoder(coder._rows, chunks[:1], Escapes(chunks[-1]), Checksum(), len(rows)).pull(rows)
    gaussian = gaussian_bits(isinstance(codec.config, TinyLICConfig))
    bits = [coder._rows.information(hyper, rows)]

    def add(_step: Step, _where: Tensor, symbols: Symbols, indexes: RowNumbers) -> None:
        bits.append(float(gaussian[indexes, np.abs(symbols)].sum()))

    code, grid = torch.tensor([parsed.quality_code]), (height // LATENT_PIXELS, width // LATENT_PIXELS)
    coder.decode([chunks], code, grid, checksums=[Checksum()], timings=StageTimings(), listen=add)
    return sum(bits) / 8


def main() -> int:
    """Print the table and whether every picture is within the promise."""
    parser = command("overhead", __doc__)
    parser.add_argument("--pictures", type=Path, required=True, help="folder of PNG pictures of at most 4 Mpx")
    parser.add_argument("--qualities", default="1,2,3,4,5,6,7,8", metavar="Q,Q", help="(default: %(default)s)")
    args = parser.parse_args()
    codec = Codec.load(args.model)
    files = sorted(args.pictures.rglob("*.png"))
    print("quality  estimate  real    beyond  of it container  worst picture")
    sound = True
    for quality in tqdm([float(text) for text in args.qualities.split(",")], disable=None):
        rows = []
        for file in files:
            image = read_picture(file.read_bytes())
            stream = codec.encode(image, quality=quality)
            chunks = sum(len(chunk) for strip in parse(stream).strips for chunk in strip)
            rows.append((estimate_bytes(codec, stream), len(stream), len(stream) - chunks))
        estimate, real, container = np.mean(rows, axis=0)
        beyond = [real - ideal * (1 + ALLOWED_SHARE) for ideal, real, _ in rows]
        worst, name = max(zip(beyond, (file.stem for file in files), strict=True))
        sound &= worst <= ALLOWED_BYTES
        print(
            f"{quality:<9g}{estimate:<10.0f}{real:<8.0f}{100 * (real / estimate - 1):+.2f} %  "
            f"{container:<15.0f} 1 % {worst:+.0f} bytes, {name}"
        )
    print(f"{'PASS' if sound else 'MISSED'}: real <= 1.01 * estimate + {ALLOWED_BYTES} bytes; header {HEADER_BYTES}")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
