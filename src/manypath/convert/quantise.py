"""Post-training quantisation of a published model: its entropy part as integers, its transforms as they are.

Streams are then exact between machines instead of guarded by their checksum. Nothing is trained and no pictures are
looked at: fixed point of 24 bits holds what the floats hold (``entropy.fixed``). The digest changes, since the two
kinds of a model do not read each other's streams.
"""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import Tensor, nn

from manypath import checkpoint
from manypath.errors import ConfigError
from manypath.levels import Gain
from manypath.multipath.blocks import Block
from manypath.quality import QUALITY_CODES
from manypath.tinylic.config import TinyLICConfig
from manypath.tinylic.context import ContextModel, kept_taps
from manypath.tinylic.fixed_hyper import FixedBlock, FixedHyperSynthesis
from manypath.tinylic.fixed_point import FixedAffine, FixedGain, FixedGelu
from manypath.tinylic.hyper import HyperSynthesis
from manypath.tinylic.layers import NeighbourhoodMixer, NormedMLP
from manypath.tinylic.model import TinyLICNetwork


def quantised(released: checkpoint.Released) -> bytes:
    """Return a released checkpoint, as a safetensors file, with integer entropy parameters.

    Raises:
        ConfigError: the model is not of the published family, or its entropy parameters are integers already.
        CheckpointError: weights too large for fixed point.
    """
    given = released.model
    config = given.config
    if not isinstance(config, TinyLICConfig) or config.integer:
        raise ConfigError(f"{config.name!r} has integer entropy parameters already; only tinylic models have floats")
    assert isinstance(given, TinyLICNetwork)  # for the type checker: its configuration is
    model = TinyLICNetwork(dataclasses.replace(config, integer=True))
    for name, part in given.named_children():  # all but what is filled in below
        if name not in ("h_s", "context"):
            model.get_submodule(name).load_state_dict(part.state_dict())
    assert isinstance(given.h_s, HyperSynthesis)
    assert isinstance(model.h_s, FixedHyperSynthesis)
    with torch.no_grad():
        _hyper_synthesis(given.h_s, model.h_s)
        _context(given.context, model.context)
    return checkpoint.to_bytes(model.config, checkpoint.export(model, released.hyper_tables))


def _hyper_synthesis(given: HyperSynthesis, made: FixedHyperSynthesis) -> None:
    made.medians.quantise(given.prior.medians)
    _gain(given.input_gain, made.input_gain)
    made.gelu.quantise()
    made.exp.quantise()
    for group, blocks in zip(given.groups, made.groups, strict=True):
        for block, own in zip(group.blocks, blocks, strict=True):
            _block(block, own)
    for up, fixed in zip(given.ups, made.ups, strict=True):
        _affine(up.weight.permute(1, 2, 3, 0), up.bias, fixed)  # [in, out, 3, 3] -> [out, 3, 3, in]


def _block(given: Block, made: FixedBlock) -> None:
    mixer, mlp = given.mixer, given.main_mlp
    assert isinstance(mixer, NeighbourhoodMixer)
    assert isinstance(mlp, NormedMLP)
    weight, bias = _after_norm(mixer.norm, mixer.qkv)
    queries = weight.shape[1]
    scale = mixer.head**-0.5
    weight[:queries] *= scale
    bias[:queries] *= scale
    _affine(weight, bias, made.qkv)
    made.bias.quantise(mixer.bias)
    _affine(mixer.project.weight, mixer.project.bias, made.project)
    _gain(given.mixer_gain, made.mixer_gain)
    _affine(*_after_norm(mlp.norm, mlp.expand), made.expand)
    _affine(mlp.project.weight, mlp.project.bias, made.shrink)
    _gain(given.mlp_gain, made.mlp_gain)


def _context(given: ContextModel, made: ContextModel) -> None:
    assert isinstance(made.gelu, FixedGelu)
    made.gelu.quantise()
    _layer(given.features_conv, made.features_conv)
    _layer(given.features_hidden, made.features_hidden)
    for network, own in zip(given.slices, made.slices, strict=True):
        for stage, (near, fixed) in enumerate(zip(network.near, own.near, strict=True), 1):
            assert isinstance(near, nn.Conv2d)
            _affine(kept_taps(near, network.pattern, stage), near.bias, fixed)
        for name, layer in network.named_children():
            if name != "near":
                _layer(layer, own.get_submodule(name))


def _layer(given: nn.Module, made: nn.Module) -> None:
    """Quantise a linear layer or a convolution."""
    assert isinstance(given, nn.Linear | nn.Conv2d)
    weight = given.weight.permute(0, 2, 3, 1) if isinstance(given, nn.Conv2d) else given.weight
    _affine(weight, given.bias, made)


def _affine(weight: Tensor, bias: Tensor | None, made: nn.Module) -> None:
    assert isinstance(made, FixedAffine)
    made.quantise(weight, bias)


def _gain(given: Gain, made: FixedGain) -> None:
    made.quantise(torch.exp2(copy.deepcopy(given).double().log2_at(torch.arange(QUALITY_CODES))))


def _after_norm(norm: nn.LayerNorm, layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a layer, float64, with the factors and offsets of the norm before it."""
    weight = layer.weight.double()
    return weight * norm.weight.double(), layer.bias.double() + weight @ norm.bias.double()
