"""Ends a codec's work soon after nobody waits for it: each module of its networks asks before it runs.

A picture of 16 Mpx is computed in strips, and each strip in some hundred modules, none of which takes longer than a few
tenths of a second on a slow core. Source of the numbers and of the choice: docs/decisions.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from manypath_services.common.lane import check_waited

_installed = False


def check_between_modules() -> None:
    """Have every network of this process ask, from now on; outside of compute threads it asks nobody."""
    global _installed  # noqa: PLW0603  (torch's hooks are the process's)
    if not _installed:
        _installed = True
        register_module_forward_pre_hook(_ask)


def _ask(_: nn.Module, __: tuple[Tensor, ...]) -> None:
    check_waited()
