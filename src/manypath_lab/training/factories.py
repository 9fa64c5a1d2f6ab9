"""Networks of a user's own, named ``module:factory``."""

from __future__ import annotations

import importlib

from torch import nn

from manypath.errors import ConfigError


def make_network(name: str) -> nn.Module:
    """Return what the factory ``module:factory``, which takes nothing, makes.

    Raises:
        ConfigError: there is no such factory, or it makes something else than a torch module.
    """
    module, _, factory = name.partition(":")
    try:
        network = getattr(importlib.import_module(module), factory)()
    except (ImportError, AttributeError, ValueError) as err:
        raise ConfigError(f"network {name!r} cannot be made: {err}; is its folder on PYTHONPATH?") from err
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{name!r} must return a torch module, got {type(network).__name__}")
    return network
