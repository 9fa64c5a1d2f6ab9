"""Released models on disk: safetensors with the configuration in its metadata, integers as integers.

What encoder and decoder must agree on (h_s, the context model and the probability tables) is stored as integers and
named by a digest; the transforms are stored in half precision. A model that only adds side paths keeps its digest,
so it reads every stream that its parent wrote. The published network has floats on both sides of that line and is
stored in single precision throughout, so that it computes what was published.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from manypath.config import ModelConfig
from manypath.edge.config import EdgeConfig
from manypath.edge.context import ContextModel
from manypath.edge.integer import IntegerAffine, IntegerGain, IntegerOffset
from manypath.edge.transforms import Analysis, Synthesis
from manypath.entropy.tables import SCALES, Tables, check_tables, gaussian_row, gaussian_tables, stack
from manypath.errors import CheckpointError, ConfigError
from manypath.families import PRESETS, read_config
from manypath.model import MPAModel
from manypath.tinylic import context as multistage
from manypath.tinylic.config import TinyLICConfig
from manypath.tinylic.fixed_point import FIXED_LAYERS, FixedAffine, FixedConstant, FixedGain, Lookup
from manypath.tinylic.hyper import PyramidHyperSynthesis

FORMAT = "manypath-model-1"
DIGEST_BYTES = 4  # of the digest travel in a bitstream
SHARED = ("h_s.", "context.", "tables.")  # what both ends must agree on
INTEGER_LAYERS = (IntegerAffine, IntegerGain, IntegerOffset, *FIXED_LAYERS)
IntegerLayer = IntegerAffine | IntegerGain | IntegerOffset | FixedAffine | FixedGain | FixedConstant | Lookup


class Released(NamedTuple):
    """A model ready to code.

    Attributes:
        model: frozen and in eval mode, float32 on the CPU.
        latent_tables: one table per scale index.
        hyper_tables: one table per hyper-latent channel.
        digest: SHA-256 of the shared part, hexadecimal.
    """

    model: MPAModel
    latent_tables: Tables
    hyper_tables: Tables
    digest: str


def _integer_layers(model: nn.Module) -> dict[str, IntegerLayer]:
    return {name: module for name, module in model.named_modules() if isinstance(module, INTEGER_LAYERS)}


def _stored(layer: nn.Module, value: Tensor) -> Tensor:
    """Return a table in its smallest exact form."""
    if isinstance(layer, IntegerGain):
        return value.to(torch.bfloat16)  # 8 significant bits, so nothing is lost
    if isinstance(layer, IntegerOffset):
        return (value * 2.0**layer.bits).to(torch.int16)
    return value


def export(model: MPAModel, hyper_tables: Tables) -> dict[str, Tensor]:
    """Return the tensors of a released checkpoint."""
    layers, edge = _integer_layers(model), isinstance(model.config, EdgeConfig)
    tensors: dict[str, Tensor] = {}
    for name, layer in layers.items():
        for key, value in layer.integers().items():
            tensors[f"{name}.{key}"] = _stored(layer, value)
    inside = tuple(f"{name}." for name in layers)
    for name, parameter in model.state_dict().items():
        if not name.startswith(inside):
            tensors[name] = parameter.half() if edge and not name.endswith(".log2") else parameter
    latent = gaussian_tables() if edge else multistage.gaussian_tables()
    for kind, tables in (("latent", latent), ("hyper", hyper_tables)):
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
    model = MPAModel(config)
    left = dict(tensors)

    def take(name: str) -> Tensor:
        if name not in left:
            raise CheckpointError(f"the checkpoint lacks {name!r}; it does not fit the configuration {config.name!r}")
        return left.pop(name)

    layers = _integer_layers(model)
    for name, layer in layers.items():
        if isinstance(layer, FIXED_LAYERS):
            layer.load_integers(**{key: take(f"{name}.{key}") for key in layer.STORED})
        elif isinstance(layer, IntegerAffine):
            layer.load_integers(take(f"{name}.weight"), take(f"{name}.shift"), take(f"{name}.bias"))
        elif isinstance(layer, IntegerGain):
            layer.load_integers(take(f"{name}.table").float())
        else:
            layer.load_integers(take(f"{name}.table").float() / 2.0**layer.bits)
    inside = tuple(f"{name}." for name in layers)
    with torch.no_grad():
        for name, parameter in model.state_dict().items():
            if name.startswith(inside):
                continue
            value = take(name)
            if value.shape != parameter.shape:
                raise CheckpointError(f"{name}: expected {list(parameter.shape)}, got {list(value.shape)}")
            if not bool(torch.isfinite(value).all()):
                raise CheckpointError(f"{name} holds values that are not finite; train or export it again")
            parameter.copy_(value)
    tables = {}
    for kind, count in (("latent", SCALES), ("hyper", config.hyper_channels)):
        tables[kind] = Tables(take(f"tables.{kind}.cdf").numpy(), take(f"tables.{kind}.bounds").numpy())
        check_tables(tables[kind], count)
    if left:
        raise CheckpointError(f"the checkpoint holds unknown tensors: {', '.join(sorted(left)[:5])}")
    model.eval().requires_grad_(False)
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


def random_model(preset: str, seed: int = 0, sides: tuple[tuple[str, str], ...] = ()) -> Released:
    """Return an untrained model with seeded weights: it codes, decodes and disagrees with nobody. For tests.

    Args:
        preset: its shape.
        seed: of its weights.
        sides: side paths of its synthesis, (name, shape).

    Raises:
        CheckpointError: no preset of that name.
    """
    if preset not in PRESETS:
        raise CheckpointError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    config = dataclasses.replace(PRESETS[preset], sides=sides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MPAModel(config)
        with torch.no_grad():
            hyper = _start_published(model) if isinstance(config, TinyLICConfig) else _start_edge(model)
    return build(config, export(model, hyper))


def _start_edge(model: MPAModel) -> Tables:
    """Give an untrained model something to do; return tables of its hyper-latent."""
    assert isinstance(model.g_a, Analysis)
    assert isinstance(model.g_s, Synthesis)
    assert isinstance(model.context, ContextModel)
    for parameter in model.parameters():
        if parameter.dim() > 1 and not parameter.any():
            parameter.normal_(0, 0.02)  # residual branches begin at zero
    for inward, outward in ((model.g_a.embed, model.g_s.paint), (model.g_a.merge, model.g_s.split)):
        nn.init.orthogonal_(inward.weight)
        outward.weight.copy_(inward.weight.T)
    model.gain.log2.copy_(torch.linspace(0.0, 4.0, len(model.gain.log2))[:, None])
    model.inverse_gain.log2.copy_(-model.gain.log2)
    model.hyper_gain.log2.fill_(2.0)
    model.context.index_offset.gain.log2.fill_(20.0)
    return stack([gaussian_row(16.0) for _ in range(model.config.hyper_channels)])


def _start_published(model: MPAModel) -> Tables:
    """Give an untrained published network scales that fit its latents; return tables of its hyper-latent."""
    assert isinstance(model.h_s, PyramidHyperSynthesis)
    assert isinstance(model.context, multistage.MultistageContext)
    model.gain.log2.copy_(torch.linspace(2.0, 6.0, len(model.gain.log2))[:, None])
    model.inverse_gain.log2.copy_(-model.gain.log2)
    for network in model.context.slices:
        assert isinstance(network, multistage.SliceNetwork)
        output = network.output
        assert isinstance(output, nn.Linear)
        output.bias[: network.width].fill_(2.0)
    return model.h_s.prior.tables()
