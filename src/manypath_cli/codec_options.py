"""The options of every subcommand that loads a codec, and of those that work through files with it."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from manypath.allocation import keep_memory
from manypath_cli.exits import UsageError

if TYPE_CHECKING:
    from manypath.codec import Codec

_DEVICE = re.compile(r"cpu|cuda(:\d{1,3})?")
_MOST_THREADS = 1024


def add_codec_options(parser: argparse.ArgumentParser) -> None:
    """Add the choice of model, device, number type and threads."""
    group = parser.add_argument_group("model and machine")
    group.add_argument(
        "--model",
        default="edge",
        metavar="NAME",
        help="a shipped model, or a .safetensors file (default: %(default)s; `manypath models` lists them)",
    )
    group.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    group.add_argument(
        "--dtype",
        default="auto",
        choices=("auto", "float32", "bfloat16"),
        help="numbers of the transforms; auto is bfloat16 where the hardware multiplies it (default: %(default)s)",
    )
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: torch's choice)")


def add_batch_options(parser: argparse.ArgumentParser) -> None:
    """Add what is to be done with files that exist, and what is said."""
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("-f", "--force", action="store_true", help="overwrite files that exist")
    existing.add_argument(
        "--skip-existing", action="store_true", help="leave inputs alone whose output exists: goes on with a batch"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary, no notes")
    parser.add_argument("--traceback", action="store_true", help="show where an unexpected error came from")


def load_codec(args: argparse.Namespace) -> Codec:
    """Load the codec that the options ask for.

    Raises:
        UsageError: the device or the number of threads cannot be.
        CheckpointError: there is no such model, or it is damaged.
    """
    keep_memory()
    import torch

    from manypath.codec import Codec

    if args.threads is not None:
        if not 1 <= args.threads <= _MOST_THREADS:
            raise UsageError(f"--threads must be 1 to {_MOST_THREADS}, got {args.threads}")
        torch.set_num_threads(args.threads)
    if not _DEVICE.fullmatch(args.device):
        raise UsageError(f"--device must be cpu, cuda or cuda:N, got {args.device!r}")
    try:
        torch.empty(1, device=args.device)
    except (RuntimeError, AssertionError, ValueError) as err:
        reason = str(err).partition("\n")[0]
        raise UsageError(f"--device {args.device} cannot be used here: {reason}") from err
    return Codec.load(args.model, device=args.device, dtype=args.dtype)
