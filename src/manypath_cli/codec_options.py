"""The options of every subcommand that loads a codec."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from manypath.allocation import keep_memory
from manypath_cli.exits import UsageError

if TYPE_CHECKING:
    from manypath.codec import Codec


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
        default="float32",
        choices=("float32", "bfloat16"),
        help="numbers of the transforms; bfloat16 is faster where the hardware has it (default: %(default)s)",
    )
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: torch's choice)")


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
        if args.threads < 1:
            raise UsageError(f"--threads must be at least 1, got {args.threads}")
        torch.set_num_threads(args.threads)
    try:
        torch.empty(1, device=args.device)
    except (RuntimeError, AssertionError, ValueError) as err:
        reason = str(err).partition("\n")[0]
        raise UsageError(f"--device {args.device} cannot be used here: {reason}") from err
    return Codec.load(args.model, device=args.device, dtype=args.dtype)
