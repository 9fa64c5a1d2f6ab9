"""The settings under which every symbol must come out the same."""

from __future__ import annotations

from typing import NamedTuple

from manypath_lab.machine import thread_environment


class Condition(NamedTuple):
    """One way to run the codec.

    Attributes:
        name: For the table.
        threads: Threads of torch.
        instructions: Environment that limits the instruction sets of torch's libraries.
        dtype: Of the transforms; the entropy part is exact in either.
        batch: Pictures per call.
        device: ``cpu`` or ``cuda``.
        tf32: Whether the GPU may shorten fp32 products, which a careless host program switches on.
        needs: CPU flag without which the setting would be the default again, or an empty string.
    """

    name: str
    threads: int = 1
    instructions: tuple[tuple[str, str], ...] = ()
    dtype: str = "float32"
    batch: int = 1
    device: str = "cpu"
    tf32: bool = False
    needs: str = ""

    def environment(self) -> dict[str, str]:
        """Return the environment of a process under this condition."""
        return {**thread_environment(self.threads), **dict(self.instructions)}


def _limited(onednn: str, aten: str, mkl: str) -> tuple[tuple[str, str], ...]:
    return (
        ("ONEDNN_MAX_CPU_ISA", onednn),
        ("ATEN_CPU_CAPABILITY", aten),
        ("MKL_ENABLE_INSTRUCTIONS", mkl),
    )


REFERENCE = Condition("reference: fp32, 1 thread, batch 1")

ON_CPU = (
    Condition("2 threads", threads=2),
    Condition("SSE4.1", instructions=_limited("SSE41", "default", "SSE4_2")),
    Condition("AVX2", instructions=_limited("AVX2", "avx2", "AVX2"), needs="avx2"),
    Condition("AVX-512", instructions=_limited("AVX512_CORE", "avx512", "AVX512"), needs="avx512f"),
    Condition("AMX", instructions=_limited("AVX512_CORE_AMX", "avx512", "AVX512"), needs="amx_tile"),
    Condition("bf16 transforms", dtype="bfloat16"),
    Condition("batch 4", batch=4),
    Condition("bf16, 2 threads, batch 4, SSE4.1", 2, _limited("SSE41", "default", "SSE4_2"), "bfloat16", 4),
)

ON_GPU = (
    Condition("CUDA", device="cuda"),
    Condition("CUDA, batch 4", device="cuda", batch=4),
    Condition("CUDA, bf16 transforms", device="cuda", dtype="bfloat16"),
    Condition("CUDA, TF32 allowed", device="cuda", tf32=True),
)
