"""The published MPA network's checkpoints: their names to ours, every one accounted for.

A published checkpoint is a pickle. It is opened by PyTorch's reader of plain tensors (``weights_only``) and by nothing
else, and its tensors are taken strictly: one that is missing, left over or of another shape is an error that names it.
Buffers that can be computed (masks, scale table) must agree with ours; the entropy coder's own tables are made anew.

Gains are stored as logarithms here, so a gain of zero becomes the smallest positive one.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from manypath import checkpoint
from manypath.errors import CheckpointError
from manypath.multipath.routing import LOW
from manypath.tinylic.config import PUBLISHED_SIDES, TINYLIC, TinyLICConfig
from manypath.tinylic.context import PATTERNS, entropy_widths, scale_table
from manypath.tinylic.model import TinyLICNetwork

SMALLEST_GAIN = 2.0**-126  # normal numbers end here

_MADE_ANEW = re.compile(
    r"(?:entropy_bottleneck|gaussian_conditional)\."
    r"(?:_offset|_quantized_cdf|_cdf_length|target|scale_bound|(?:likelihood_)?lower_bound(?:_scale)?\.bound)"
)
_MASK = re.compile(r"sc_transform_([1-5])\.mask")
_SCALE_TABLE = "gaussian_conditional.scale_table"


class Piece(NamedTuple):
    """Where a part of a published tensor goes.

    Attributes:
        ours: name of our parameter.
        rows: first and last + 1 of our parameter's rows that it fills; None: all.
        columns: the same of the published tensor's columns that it takes; None: all.
    """

    ours: str
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None


def _layer(published: str, ours: str, *, bias: bool = True) -> Iterator[tuple[str, Piece]]:
    yield f"{published}.weight", Piece(f"{ours}.weight")
    if bias:
        yield f"{published}.bias", Piece(f"{ours}.bias")


def _mlp(published: str, ours: str) -> Iterator[tuple[str, Piece]]:
    yield from _layer(f"{published}.fc1.0", f"{ours}.norm")
    yield from _layer(f"{published}.fc1.1", f"{ours}.expand")
    yield from _layer(f"{published}.fc2", f"{ours}.project")


def _predictor(published: str, ours: str) -> Iterator[tuple[str, Piece]]:
    yield f"{published}.shift", Piece(f"{ours}.shift")
    yield from _layer(f"{published}.in_conv.0", f"{ours}.norm")
    yield from _layer(f"{published}.in_conv.1", f"{ours}.reduce")
    yield from _layer(f"{published}.out_conv.0", f"{ours}.combine")
    yield from _layer(f"{published}.out_conv.2", f"{ours}.score", bias=False)


def _group(published: str, ours: str, depth: int, sides: Mapping[str, str]) -> Iterator[tuple[str, Piece]]:
    """Yield a group's names; ``sides`` gives each side's place in the published lists ("" for the only one)."""
    published = f"{published}.residual_group"
    for number in range(depth):
        block, own = f"{published}.blocks.{number}", f"{ours}.blocks.{number}"
        yield f"{block}.gamma_1", Piece(f"{own}.mixer_gain.log2")
        yield f"{block}.gamma_2", Piece(f"{own}.mlp_gain.log2")
        yield from _layer(f"{block}.norm1", f"{own}.mixer.norm")
        yield f"{block}.attn.rpb", Piece(f"{own}.mixer.bias")
        yield from _layer(f"{block}.attn.qkv", f"{own}.mixer.qkv")
        yield from _layer(f"{block}.attn.proj", f"{own}.mixer.project")
        yield from _layer(f"{block}.norm2", f"{own}.main_mlp.norm")
        yield from _layer(f"{block}.mlp.fc1", f"{own}.main_mlp.expand")
        yield from _layer(f"{block}.mlp.fc2", f"{own}.main_mlp.project")
        for side, place in sides.items():
            listed = f".mlp_list.{place}" if place else ""
            yield from _mlp(f"{block}.fastmlp{listed}", f"{own}.side_mlps.{side}")
    for side, place in sides.items():
        listed = f".{place}" if place else ""
        yield from _predictor(f"{published}.score_predictor{listed}.0", f"{ours}.predictors.{side}")


def _transforms(config: TinyLICConfig) -> Iterator[tuple[str, Piece]]:
    tasks = {name: str(place) for place, (name, _) in enumerate(config.sides)}
    for number in range(4):
        yield from _layer(f"g_a{2 * number}", f"g_a.downs.{number}")
        yield from _layer(f"g_s{2 * number + 1}", f"g_s.ups.{number}")
    for number in range(3):
        yield from _group(f"g_a{2 * number + 1}", f"g_a.groups.{number}", config.depths[number], {LOW: ""})
        yield from _group(f"g_s{2 * number + 2}", f"g_s.groups.{number}", config.depths[2 - number], tasks)
    yield from _group("g_a7", "g_a.coarse", config.depths[3], {})
    yield from _group("g_s0", "g_s.coarse", config.depths[3], {})
    for number in range(2):
        yield from _layer(f"h_a{2 * number}", f"h_a.downs.{number}")
        yield from _group(f"h_a{2 * number + 1}", f"h_a.groups.{number}", config.hyper_depth, {})
        yield from _group(f"h_s{2 * number}", f"h_s.groups.{number}", config.hyper_depth, {})
        yield from _layer(f"h_s{2 * number + 1}", f"h_s.ups.{number}")


def _context(config: TinyLICConfig) -> Iterator[tuple[str, Piece]]:
    features = 2 * config.latent_channels
    start = first_row = near = 0
    for number, (width, pattern) in enumerate(zip(config.slices, config.patterns, strict=True)):
        own = f"context.slices.{number}"
        channel, entropy = f"cc_transforms.{number}", f"entropy_parameters_{number + 1}"
        rows = (start, start + width)
        yield f"{channel}.0.weight", Piece("context.features_conv.weight", rows, (0, features))
        if start:
            yield f"{channel}.0.weight", Piece(f"{own}.seen.weight", None, (features, features + start))
        yield f"{channel}.0.bias", Piece("context.features_conv.bias", rows)
        yield from _layer(f"{channel}.2", f"{own}.channel1")
        yield from _layer(f"{channel}.4", f"{own}.channel2")
        hidden = entropy_widths(width, pattern)[0]
        rows, column = (first_row, first_row + hidden), features
        yield f"{entropy}.0.weight", Piece("context.features_hidden.weight", rows, (0, features))
        if PATTERNS[pattern].kernels:
            yield f"{entropy}.0.weight", Piece(f"{own}.from_near.weight", None, (column, column + 2 * width))
            column += 2 * width
        yield f"{entropy}.0.weight", Piece(f"{own}.from_channel.weight", None, (column, column + 2 * width))
        yield f"{entropy}.0.bias", Piece("context.features_hidden.bias", rows)
        yield from _layer(f"{entropy}.2", f"{own}.hidden")
        yield from _layer(f"{entropy}.4", f"{own}.output")
        for stage in range(len(PATTERNS[pattern].kernels)):
            near += 1
            yield from _layer(f"sc_transform_{near}", f"{own}.near.{stage}")
        start += width
        first_row += hidden


def names(config: TinyLICConfig) -> dict[str, list[Piece]]:
    """Return for each published name where its values go."""
    every: dict[str, list[Piece]] = {
        "Gain": [Piece("gain.log2")],
        "InverseGain": [Piece("inverse_gain.log2")],
        "HyperGain": [Piece("hyper_gain.log2")],
        "InverseHyperGain": [Piece("h_s.input_gain.log2")],
        "entropy_bottleneck.quantiles": [Piece("h_s.prior.quantiles")],
    }
    for number in range(5):
        every[f"entropy_bottleneck._matrix{number}"] = [Piece(f"h_s.prior.matrices.{number}")]
        every[f"entropy_bottleneck._bias{number}"] = [Piece(f"h_s.prior.biases.{number}")]
        if number < 4:
            every[f"entropy_bottleneck._factor{number}"] = [Piece(f"h_s.prior.factors.{number}")]
    for source in (_transforms(config), _context(config)):
        for published, piece in source:
            every.setdefault(published, []).append(piece)
    return every


def published_config(tensors: Mapping[str, Tensor]) -> TinyLICConfig:
    """Return the configuration of a published state dict: that of MPA, or of its first training stage, MPAEnc.

    Raises:
        CheckpointError: a tensor is missing or left over; the message names it.
    """
    tasks = any(".mlp_list." in name for name in tensors)
    config = dataclasses.replace(TINYLIC, sides=PUBLISHED_SIDES if tasks else ())
    wanted = names(config)
    missing = sorted(set(wanted) - set(tensors))
    if missing:
        raise CheckpointError(f"the published checkpoint lacks {_some(missing)}")
    left = sorted(name for name in set(tensors) - set(wanted) if not _known(name, tensors[name]))
    if left:
        raise CheckpointError(f"the published checkpoint holds what the network has no place for: {_some(left)}")
    return config


def load_published(tensors: Mapping[str, Tensor]) -> TinyLICNetwork:
    """Make a model from a published state dict.

    Raises:
        CheckpointError: a tensor is missing, left over, or not of its shape; the message names it.
    """
    config = published_config(tensors)
    model = TinyLICNetwork(config)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, pieces in names(config).items():
            _place(name, tensors[name], pieces, own)
    return model.eval().requires_grad_(False)


def convert(file: str | os.PathLike[str]) -> bytes:
    """Return a released checkpoint, as a safetensors file, of a published one.

    Raises:
        CheckpointError: see ``read_published`` and ``load_published``.
    """
    model = load_published(read_published(file))
    return checkpoint.to_bytes(model.config, checkpoint.export(model, model.hyper_tables()))


def _some(found: list[str]) -> str:
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(found[:5]) + more


def _place(name: str, value: Tensor, pieces: list[Piece], own: Mapping[str, Tensor]) -> None:
    """Copy a published tensor to its places.

    Raises:
        CheckpointError: it has another shape, or values that are not finite.
    """
    if not value.is_floating_point() or not bool(torch.isfinite(value).all()):
        raise CheckpointError(f"{name} holds values that are not finite floating-point numbers")
    if value.dim() == 4 and value.shape[2:] == (1, 1):
        value = value[:, :, 0, 0]
    taken = sum(columns[1] - columns[0] for _, _, columns in pieces if columns)
    if taken and (value.dim() < 2 or value.shape[1] != taken):
        raise CheckpointError(f"{name}: expected {taken} input channels, got the shape {list(value.shape)}")
    for ours, rows, columns in pieces:
        part = value[:, slice(*columns)] if columns else value
        target = own[ours][slice(*rows)] if rows else own[ours]
        if part.shape != target.shape:
            raise CheckpointError(f"{name}: expected the shape {list(target.shape)}, got {list(part.shape)}")
        target.copy_(part.abs().clamp_min(SMALLEST_GAIN).log2() if ours.endswith(".log2") else part)


def _known(name: str, value: Tensor) -> bool:
    """Whether a tensor is a buffer of the published network that ours computes; one that differs is none."""
    mask = _MASK.fullmatch(name)
    if mask:
        return _same(value, _masks()[int(mask[1]) - 1])
    if name == _SCALE_TABLE:
        return value.numel() == 0 or _same(value, torch.tensor(scale_table()))
    return bool(_MADE_ANEW.fullmatch(name))


def _same(value: Tensor, expected: Tensor) -> bool:
    return value.shape[-expected.dim() :] == expected.shape and torch.allclose(value.float(), expected, rtol=1e-5)


def _masks() -> list[Tensor]:
    """Return the masks of the five masked convolutions, 1 where they look."""
    masks = []
    for pattern in TINYLIC.patterns:
        for kernel, seen in zip(PATTERNS[pattern].kernels, PATTERNS[pattern].masks, strict=True):
            mask = torch.zeros(kernel, kernel)
            for row, column in seen:
                mask[row + kernel // 2, column + kernel // 2] = 1.0
            masks.append(mask)
    return masks


def read_published(file: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the state dict in a published checkpoint file.

    Raises:
        CheckpointError: no such file, or a pickle that holds more than plain tensors and numbers.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a strange pickle protocol: what matters is what it holds
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as err:
        told = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise CheckpointError(f"{os.fspath(file)}: not a checkpoint of plain tensors: {told}") from err
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(f"{os.fspath(file)}: holds no state dict")
    return {str(name).removeprefix("module."): value for name, value in content.items()}
