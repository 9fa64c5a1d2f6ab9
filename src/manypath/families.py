"""The families of models by name: the only place that knows them all."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from manypath.config import ModelConfig
from manypath.edge.config import EDGE, EDGE_SMALL, TINY, EdgeConfig
from manypath.errors import ConfigError
from manypath.tinylic.config import TINYLIC, TINYLIC_TINY, TinyLICConfig

FAMILIES: dict[str, type[ModelConfig]] = {kind.FAMILY: kind for kind in (EdgeConfig, TinyLICConfig)}
PRESETS: dict[str, ModelConfig] = {config.name: config for config in (EDGE, EDGE_SMALL, TINY, TINYLIC, TINYLIC_TINY)}
_FIRST = EdgeConfig.FAMILY  # configurations that name no family are of this one


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
        kind = FAMILIES[family]
        known = {field.name for field in dataclasses.fields(kind)}
        if set(fields) - known:
            raise ConfigError(f"a model configuration has the fields {sorted(known)}; got {text[:200]!r}")
        for key, value in fields.items():
            if isinstance(value, list):
                fields[key] = tuple(tuple(v) if isinstance(v, list) else v for v in value)
        return kind(**fields)
    except (ValueError, TypeError) as err:
        raise ConfigError(f"not a model configuration: {err}") from err
