"""Which numbers the transforms compute with: bfloat16 where the device multiplies it, else float32."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch

from manypath.errors import RequestError

AUTO = "auto"
DTYPES: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
DTYPE_NAMES = (AUTO, *DTYPES)
# What oneDNN may be kept to that does not multiply bfloat16; the last two of 256 bits convert it at most.
_WITHOUT = frozenset({"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"})


def onednn_kept_to() -> str:
    """Return the instruction set that the environment keeps oneDNN to, as oneDNN names it; empty for none."""
    return (os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "").upper()


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has units that multiply bfloat16: a GPU, or a CPU with AVX512-BF16 or AMX that oneDNN may use.

    A CPU without these is ten times slower in bfloat16 than in float32, and oneDNN packs no weights of it.
    """
    if device.type == "cuda":
        return True
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check()) and onednn_kept_to() not in _WITHOUT


def transform_dtype(name: str, device: torch.device, *, rounds_well: bool) -> torch.dtype:
    """Return the type that ``float32``, ``bfloat16`` or ``auto`` stands for.

    Args:
        name: as asked for.
        device: where the transforms run.
        rounds_well: whether the network loses next to nothing in bfloat16, so that ``auto`` may take it.

    Raises:
        RequestError: no such type.
    """
    if name == AUTO:
        return torch.bfloat16 if rounds_well and multiplies_bfloat16(device) else torch.float32
    if name not in tuple(DTYPES):  # a tuple, so that what cannot be hashed is refused too
        raise RequestError(f"dtype must be one of {', '.join(DTYPE_NAMES)}, got {name!r}")
    return DTYPES[name]
