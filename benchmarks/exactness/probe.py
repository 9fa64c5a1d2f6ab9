"""What one process computes under one condition, written down so that processes can be compared.

Two things are recorded. First the entropy parameters (means and scale indexes) that the integer networks
give for seeded hyper-latents and symbols, some like a photo's, some as large as the format allows: whatever
differs shows at its exact place. Second real bitstreams, each decoded by the others, which ends in the
container's checksum of the symbols.
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.exactness.conditions import Condition
from benchmarks.picture import Pixels, photo_like
from manypath import checkpoint
from manypath.codec import Codec
from manypath.edge.context import LATENT_BOUND, MEAN_BITS
from manypath.entropy.schedule import Step
from manypath.errors import CheckpointError, ManypathError
from manypath.geometry import LATENT_PIXELS, WINDOW_PIXELS
from manypath.network import Network
from manypath.quality import QUALITY_CODES
from manypath.testing import random_model
from manypath_lab.machine import use_threads

SAMPLES = 4  # per probe: one batch of four, or four batches of one
QUALITIES = (1.0, 4.5, 8.0)
GRID = (12, 20)  # latent positions of a parameter probe, height and width
PICTURES = ((96, 128), (200, 264), (96, 128), (96, 128), (96, 128))  # height and width

Recorded = dict[str, npt.NDArray[np.int32]]


class Order(NamedTuple):
    """What a worker is told.

    Attributes:
        condition: Fields of the ``Condition``.
        model: Name or file.
        folder: Where to write parameters and bitstreams.
        reference: Where the reference wrote its bitstreams; empty for the reference itself.
    """

    condition: dict[str, object]
    model: str
    folder: str
    reference: str


def pictures() -> list[Pixels]:
    """Return the seeded pictures that every process encodes."""
    return [photo_like(height, width, seed) for seed, (height, width) in enumerate(PICTURES)]


def store_random(preset: str, file: pathlib.Path) -> str:
    """Write a preset's random model to ``file`` and return its name.

    It must be made once: torch's random numbers are not the same under every instruction set.
    """
    released = random_model(preset)
    tensors = checkpoint.export(released.model, released.hyper_tables)
    file.write_bytes(checkpoint.to_bytes(released.model.config, tensors))
    return str(file)


def entropy_parameters(model: Network, device: str, batch: int) -> Recorded:
    """Return means (in 1/16) and scale indexes of every probe, sample and step, by name.

    Args:
        model: Frozen, on ``device``.
        device: Where it lies.
        batch: Samples per pass; the result must not depend on it.
    """
    recorded: Recorded = {}
    for code in (0, QUALITY_CODES // 2, QUALITY_CODES - 1):
        for kind in ("natural", "extreme"):
            for first in range(0, SAMPLES, batch):
                samples = range(first, first + batch)
                recorded.update(_one_pass(model, code, kind, samples, device=device))
    return recorded


@torch.inference_mode()
def _one_pass(model: Network, code: int, kind: str, samples: Sequence[int], *, device: str) -> Recorded:
    """Run hyper-synthesis and context on seeded values, and note what they say of each sample."""
    recorded: Recorded = {}
    ratio = WINDOW_PIXELS // LATENT_PIXELS
    shape = (GRID[0] // ratio, GRID[1] // ratio, model.config.hyper_channels)
    z = np.stack([_integers(kind, (sample, 0), shape, model.HYPER_BOUND) for sample in samples])
    codes = torch.full((len(samples),), code, device=device)

    def visit(step: Step, where: Tensor, means: Tensor, indexes: Tensor) -> Tensor:
        on_grid = (means.double() * 2**MEAN_BITS).cpu().numpy()
        scale = indexes.cpu().numpy()
        for row, sample in enumerate(samples):
            name = f"quality code {code}, {kind}, sample {sample}, step {step.number}"
            recorded[f"{name}, mean"] = on_grid[row].astype(np.int32)
            recorded[f"{name}, scale index"] = scale[row].astype(np.int32)
        size = (len(where), step.width)
        symbols = [_integers(kind, (sample, 1 + step.number), size, int(LATENT_BOUND)) for sample in samples]
        return means + torch.from_numpy(np.stack(symbols)).to(means)

    model.walk(model.h_s(torch.from_numpy(z).to(device), codes), codes, visit)
    return recorded


def _integers(kind: str, seed: tuple[int, int], shape: tuple[int, ...], bound: int) -> npt.NDArray[np.float32]:
    """Return seeded integers as float32: Laplacian like a photo's, or uniform up to the bound."""
    random = np.random.default_rng(seed)
    if kind == "extreme":
        values = random.integers(-bound, bound + 1, shape).astype(np.float64)
    else:
        values = np.clip(np.rint(random.laplace(0.0, 3.0, shape)), -bound, bound)
    single: npt.NDArray[np.float32] = values.astype(np.float32)
    return single


def write_streams(codec: Codec, folder: pathlib.Path, batch: int) -> None:
    """Encode every picture at every quality into ``folder``."""
    images = pictures()
    for quality in QUALITIES:
        for first in range(0, len(images), batch):
            streams = codec.encode_batch(images[first : first + batch], quality=quality)
            for number, stream in enumerate(streams, start=first):
                (folder / f"picture {number}, quality {quality:g}.mpth").write_bytes(stream)


def read_streams(codec: Codec, folder: pathlib.Path, batch: int) -> str:
    """Decode every stream in ``folder``; return the first complaint, or an empty string."""
    files = sorted(folder.glob("*.mpth"))
    for first in range(0, len(files), batch):
        some = files[first : first + batch]
        try:
            codec.decode_batch([file.read_bytes() for file in some])
        except ManypathError as err:
            return f"{', '.join(file.stem for file in some)}: {type(err).__name__}: {err}"
    return ""


def read_folders(model: str, folders: Sequence[pathlib.Path]) -> dict[str, str]:
    """Decode the streams of many folders under the condition this process has; complaints by folder."""
    codec = Codec.load(model)
    return {folder.name: read_streams(codec, folder, 1) for folder in folders}


def work(order: Order) -> str:
    """Do everything one condition asks for; return the complaint about the reference's streams, if any.

    Raises:
        CheckpointError: No such model.
    """
    condition = Condition(**order.condition)  # type: ignore[arg-type]
    use_threads(condition.threads)
    torch.backends.cuda.matmul.allow_tf32 = condition.tf32
    torch.backends.cudnn.allow_tf32 = condition.tf32
    folder = pathlib.Path(order.folder)
    model = checkpoint.load(order.model).model.to(condition.device)
    recorded = entropy_parameters(model, condition.device, condition.batch)
    np.savez_compressed(folder / "parameters.npz", **recorded)
    codec = Codec.load(order.model, device=condition.device, dtype=condition.dtype)
    write_streams(codec, folder, condition.batch)
    if not order.reference:
        return ""
    return read_streams(codec, pathlib.Path(order.reference), condition.batch)


def main(arguments: Sequence[str]) -> int:
    """Serve one order: ``probe ORDER`` or ``read MODEL FOLDER...``; prints one line of JSON."""
    what, *rest = arguments
    try:
        if what == "read":
            use_threads(1)
            print(json.dumps(read_folders(rest[0], [pathlib.Path(folder) for folder in rest[1:]])))
        else:
            print(json.dumps(work(Order(**json.loads(rest[0])))))
    except CheckpointError as err:
        print(err, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
