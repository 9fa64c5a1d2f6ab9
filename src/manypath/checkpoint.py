"""Released models on disk: safetensors with the configuration in its metadata, integers as integers.

What encoder and decoder must agree on (h_s, the context model and the probability tables) is stored as integers, where
the family has integers, and named by a digest. A model that only adds side paths keeps its digest, so it reads every
stream that its parent wrote.
"""

from __future__ import annotations

import hashlib
import os
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from manypath.config import ModelConfig
from manypath.entropy.tables import SCALES, Tables, check_tables
from manypath.errors import CheckpointError, ConfigError
from manypath.families import build_network, read_config
from manypath.network import Network

FORMAT = "manypath-model-1"
DIGEST_BYTES = 4  # of the digest travel in a bitstream
SHARED = ("h_s.", "context.", "tables.")  # what both ends must agree on


class Released(NamedTuple):
    """A model ready to code.

    Attributes:
        model: frozen and in eval mode, float32 on the CPU.
        latent_tables: one table per scale index.
        hyper_tables: one table per hyper-latent channel.
        digest: SHA-256 of the shared part, hexadecimal.
    """

    model: Network
    latent_tables: Tables
    hyper_tables: Tables
    digest: str


def export(model: Network, hyper_tables: Tables) -> dict[str, Tensor]:
    """Return the tensors of a released checkpoint."""
    tensors = model.stored()
    for kind, tables in (("latent", model.latent_tables()), ("hyper", hyper_tables)):
        tensors[f"tables.{kind}.cdf"] = torch.from_numpy(tables.cdf)
        tensors[f"tables.{kind}.bounds"] = torch.from_numpy(tables.bounds)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def digest(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of the shared part: names, types, shapes and bytes in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        if name.startswith(SHARED):
            tensor = tensors[name].contiguous()
            total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            total.update(tensor.view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def to_bytes(config: ModelConfig, tensors: dict[str, Tensor]) -> bytes:
    """Return a released checkpoint as a safetensors file."""
    metadata = {"format": FORMAT, "config": config.to_json(), "digest": digest(tensors)}
    return save(tensors, metadata=metadata)


def build(config: ModelConfig, tensors: dict[str, Tensor]) -> Released:
    """Make a model from a released checkpoint's tensors, every one accounted for.

    Raises:
        CheckpointError: a tensor is missing, left over, or has another shape or values that are not allowed.
    """
    model = build_network(config)
    left = dict(tensors)

    def take(name: str) -> Tensor:
        if name not in left:
            raise CheckpointError(f"the checkpoint lacks {name!r}; it does not fit the configuration {config.name!r}")
        return left.pop(name)

    model.load_stored(take)
    tables = {}
    for kind, count in (("latent", SCALES), ("hyper", model.hyper_table_sets() * config.hyper_channels)):
        tables[kind] = Tables(take(f"tables.{kind}.cdf").numpy(), take(f"tables.{kind}.bounds").numpy())
        check_tables(tables[kind], count)
    if left:
        raise CheckpointError(f"the checkpoint holds unknown tensors: {', '.join(sorted(left)[:5])}")
    return Released(model, tables["latent"], tables["hyper"], digest(tensors))


def load(name_or_file: str | os.PathLike[str]) -> Released:
    """Load a shipped model by name, or a file.

    Raises:
        CheckpointError: there is none, it is not a released checkpoint, or its digest does not match.
    """
    file = find(name_or_file)
    try:
        with safe_open(str(file), framework="pt") as handle:
            metadata = handle.metadata() or {}
            tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118  not a dict
    except (OSError, SafetensorError) as err:
        raise CheckpointError(f"{file}: not a safetensors file: {err}") from err
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{file}: expected format {FORMAT!r}, got {metadata.get('format')!r}; export it again")
    try:
        config = read_config(metadata.get("config", ""))
    except ConfigError as err:
        raise CheckpointError(f"{file}: {err}") from err
    found = digest(tensors)
    if found != metadata.get("digest"):
        raise CheckpointError(f"{file}: digest {found[:16]} differs from the stored one; the file is damaged")
    return build(config, tensors)


def shipped() -> dict[str, Path]:
    """Return the checkpoints in the package, by name."""
    folder = Path(str(resources.files("manypath") / "weights"))
    return {file.stem: file for file in sorted(folder.glob("*.safetensors"))}


def find(name_or_file: str | os.PathLike[str]) -> Path:
    """Return the file of a shipped model's name, or the file itself.

    Raises:
        CheckpointError: neither exists.
    """
    known = shipped()
    if str(name_or_file) in known:
        return known[str(name_or_file)]
    file = Path(name_or_file)
    if not file.is_file():
        raise CheckpointError(f"no model {str(name_or_file)!r}: neither a file nor one of {', '.join(known) or 'none'}")
    return file
