"""What the benchmarks' command lines have in common."""

from __future__ import annotations

import argparse


def command(
    name: str, description: str | None, examples: str | None = None, *, model: bool = True
) -> argparse.ArgumentParser:
    """Return the parser of ``python -m benchmarks.NAME``.

    Args:
        name: of the module.
        description: above the options.
        examples: below them.
        model: whether it takes ``--model``.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if model:
        parser.add_argument(
            "--model", default="edge", metavar="NAME", help="a shipped model or a .safetensors file (edge)"
        )
    return parser
