"""The one place that imports CompressAI, past two traps of its packaging.

CompressAI imports torchvision only to fill a registry, and a CUDA build of torchvision beside a CPU build of torch
fails at import for want of two operators. Declaring their schemas lets it import; the operators stay unusable, and
nothing here uses them. The coder's extension module needs neither torch nor torchvision, so it is loaded alone.
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType


@functools.cache
def import_torchvision() -> ModuleType:
    """Return ``torchvision``, with the operators declared that a build for another torch lacks."""
    import torch

    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for operator in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
    return importlib.import_module("torchvision")


@functools.cache
def import_compressai() -> ModuleType:
    """Return the ``compressai`` package."""
    import_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it scripts a module at import; torch frowns on that
        return importlib.import_module("compressai")


@functools.cache
def import_ans() -> ModuleType:
    """Return CompressAI's rANS extension without importing the package around it.

    Raises:
        ImportError: CompressAI is not installed.
    """
    package = importlib.util.find_spec("compressai")
    for folder in package.submodule_search_locations or () if package else ():
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            file = Path(folder) / f"ans{suffix}"
            if file.exists():
                spec = importlib.util.spec_from_file_location("compressai.ans", file)
                if spec is not None and spec.loader is not None:
                    module = importlib.util.module_from_spec(spec)
                    spec.loader.exec_module(module)
                    return module
    raise ImportError("the entropy coder needs compressai; install the extra 'codec'")
