"""The families of models by name: the only place that knows them all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from manypath.config import ModelConfig
from manypath.edge import config as edge
from manypath.edge.model import EdgeNetwork
from manypath.errors import ConfigError
from manypath.network import Network, own_defaults
from manypath.tinylic import config as tinylic
from manypath.tinylic.model import TinyLICNetwork


class Family(NamedTuple):
    """A family of models.

    Attributes:
        config: class of its configurations.
        network: class of its networks, made of a configuration.
    """

    config: type[ModelConfig]
    network: Callable[[Any], Network]


FAMILIES = {
    family.config.FAMILY: family
    for family in (Family(edge.EdgeConfig, EdgeNetwork), Family(tinylic.TinyLICConfig, TinyLICNetwork))
}
PRESETS: dict[str, ModelConfig] = {config.name: config for config in (*edge.PRESETS, *tinylic.PRESETS)}
_FIRST = edge.EdgeConfig.FAMILY  # configurations that name no family are of this one
_RETIRED = {"mixer": "depthwise", "main_adapter": ""}  # fields of older files, and all that they may say


def build_network(config: ModelConfig) -> Network:
    """Return an untrained network of a configuration.

    Raises:
        ConfigError: no family has such configurations.
    """
    for family in FAMILIES.values():
        if isinstance(config, family.config):
            with own_defaults():
                return family.network(config)
    raise ConfigError(f"no network is built from a {type(config).__name__}")


def read_config(text: str) -> ModelConfig:
    """Read what ``ModelConfig.to_json`` wrote.

    Raises:
        ConfigError: not JSON, an unknown or a missing field, or fields that contradict each other.
    """
    try:
        fields: dict[str, Any] = dict(json.loads(text))
        family = fields.pop("family", _FIRST)
        if family not in FAMILIES:
            raise ConfigError(f"a model's family is one of {', '.join(FAMILIES)}; got {family!r}")
        kind = FAMILIES[family].config
        fields = {key: value for key, value in fields.items() if _RETIRED.get(key, ...) != value}
        known = {field.name for field in dataclasses.fields(kind)}
        if set(fields) - known:
            raise ConfigError(f"a model configuration has the fields {sorted(known)}; got {text[:200]!r}")
        for key, value in fields.items():
            if isinstance(value, list):
                fields[key] = tuple(tuple(v) if isinstance(v, list) else v for v in value)
        return kind(**fields)
    except (ValueError, TypeError) as err:
        raise ConfigError(f"not a model configuration: {err}") from err
