"""Which instruction sets PyTorch, oneDNN and MKL really use in this process, as they say themselves."""

import ctypes
import os
import re
import sys
import tempfile

import torch


def in_force() -> dict[str, str]:
    """Return what each library says of itself; empty where it is not built in."""
    said = _said_to_stdout(_one_product_each)
    onednn = re.search(r"onednn_verbose,.*?cpu,isa:(.*)", said)
    mkl = re.search(r"64 architecture (.*?), (?:Lnx|Win|OSX)", said)
    return {
        "aten": torch.backends.cpu.get_cpu_capability(),
        "onednn": onednn[1] if onednn else "",
        "mkl": mkl[1] if mkl else "",
    }


def _one_product_each() -> None:
    mkl, onednn = torch.backends.mkl, torch.backends.mkldnn
    with torch.inference_mode(), mkl.verbose(mkl.VERBOSE_ON), onednn.verbose(onednn.VERBOSE_ON):
        torch.mm(torch.ones(64, 64), torch.ones(64, 64))
        picture = torch.ones(1, 8, 16, 16).contiguous(memory_format=torch.channels_last)
        torch.nn.functional.conv2d(picture, torch.ones(8, 1, 3, 3), padding=1, groups=8)
    ctypes.CDLL(None).fflush(None)


def _said_to_stdout(work) -> str:
    """Return what the libraries write past Python's own stream."""
    sys.stdout.flush()
    with tempfile.TemporaryFile() as caught:
        kept = os.dup(1)
        os.dup2(caught.fileno(), 1)
        try:
            work()
        finally:
            os.dup2(kept, 1)
            os.close(kept)
        caught.seek(0)
        return caught.read().decode()
