"""The machine a benchmark runs on: what to print beside figures, and how a process gets its threads."""

from __future__ import annotations

import os
import pathlib
import platform
from typing import NamedTuple

import torch

from manypath.precision import multiplies_bfloat16

# glibc returns every large activation to the kernel and faults it in again; keeping it is 1.2 to 1.4 times
# faster for every network here, ours and the others'.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**34)}
QUIET_LOAD = 0.3  # runnable processes per minute above which a timing is not to be trusted


class Machine(NamedTuple):
    """Facts to print beside a figure.

    Attributes:
        cpu: Model name of the processor.
        cpus: Processors this process may use.
        bf16: Whether the processor computes in bfloat16 (AVX512-BF16 or AMX).
        gpu: Name of the first CUDA device, or an empty string.
        torch_version: Version of torch.
        load: Load average of the last minute when asked.
    """

    cpu: str
    cpus: int
    bf16: bool
    gpu: str
    torch_version: str
    load: float

    @property
    def quiet(self) -> bool:
        """Whether nothing else seems to run."""
        return self.load <= QUIET_LOAD

    def describe(self) -> str:
        """Return one line for the head of a table."""
        bf16 = "bf16 units" if self.bf16 else "no bf16 units"
        gpu = f", {self.gpu}" if self.gpu else ""
        return f"{self.cpu}, {self.cpus} CPUs, {bf16}{gpu}, torch {self.torch_version}"


def this_machine() -> Machine:
    """Look at the machine."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    cpus = len(os.sched_getaffinity(0))
    return Machine(
        _cpu_name(), cpus, multiplies_bfloat16(torch.device("cpu")), gpu, torch.__version__, os.getloadavg()[0]
    )


def cpu_flags() -> frozenset[str]:
    """Return what the processor says it can, as Linux names it; empty where that is not known."""
    return frozenset(_cpu_field("flags").split())


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment of a process that computes with so many threads.

    Waiting threads sleep rather than spin: that is how the services run, and spinning made a step 80 times
    slower as soon as a second process wanted the same cores.
    """
    count = str(threads)
    settings = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OMP_WAIT_POLICY": "PASSIVE", **_MALLOC}
    return {**os.environ, **settings}


def use_threads(threads: int) -> None:
    """Bind this process to so many of its processors (the last ones) and tell torch."""
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, available[-threads:])
    torch.set_num_threads(threads)


def _cpu_name() -> str:
    return _cpu_field("model name") or platform.processor() or platform.machine()


def _cpu_field(field: str) -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    values = (line.split(":", 1)[1].strip() for line in lines if line.startswith(field))
    return next(values, "")
