"""Weights that depend on a parameter's published name and shape alone, as the reference outputs were made with.

Every tensor starts from standard normal draws of a PCG64 generator seeded by the CRC-32 of its name. What kind of
parameter a name stands for decides what becomes of them.
"""

import re
import zlib

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]

BOTTLENECK = re.compile(r"entropy_bottleneck\._(matrix|bias|factor)(\d)")
RAMPS = {"Gain": 0.6, "HyperGain": 0.6, "InverseGain": -0.6, "InverseHyperGain": -0.6}


def draws(name: str, shape: tuple[int, ...]) -> Values:
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    return generator.standard_normal(shape).astype(np.float32)


def filled(name: str, shape: tuple[int, ...]) -> Values:
    """Return the float32 values of one published tensor."""
    noise = draws(name, shape)
    last = name.rsplit(".", maxsplit=1)[-1]
    inside = BOTTLENECK.fullmatch(name)
    if inside:
        kind, number = inside[1], int(inside[2])
        if kind == "matrix":  # softplus of it is about 1 / (scale * fan-out), where five layers scale by 10 in all
            fan_out = 1 if number == 4 else 3
            return (np.log(np.expm1(1 / 10.0**0.2 / fan_out)) + 0.05 * noise).astype(np.float32)
        return ((0.3 if kind == "bias" else 0.1) * noise).astype(np.float32)
    if last == "quantiles":
        middle = 0.3 * noise[:, :, 1:2]
        return np.concatenate((middle - 10, middle, middle + 10), -1).astype(np.float32)
    if last in RAMPS:  # from -0.6 to 1.2 in the exponent over the levels; the inverse ones fall
        start = -RAMPS[last]
        ramp = np.linspace(start, -2 * start, shape[0], dtype=np.float32)
        return np.exp(ramp[:, None] + 0.1 * noise).astype(np.float32)
    if last == "shift":
        return np.zeros(shape, np.float32)
    if last.startswith("gamma_"):
        return (0.7 + 0.3 * noise).astype(np.float32)
    if last == "rpb":
        return (0.5 * noise).astype(np.float32)
    if last == "bias":
        return (0.02 * noise).astype(np.float32)
    if len(shape) == 1:  # the weight of a normalisation
        return (1 + 0.1 * noise).astype(np.float32)
    return (0.8 * noise / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
