"""``manypath models``: which models are here, what one is made of, and how a training run becomes one."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from manypath_cli.exits import FileError, UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction
    from pathlib import Path

_DESCRIPTION = """\
List the models that are shipped with this installation. The digest is what a bitstream carries: a model reads
the streams of its own digest only.
"""

_EXAMPLES = """\
examples:
  manypath models                                     the shipped models
  manypath models show edge                           shape, digest, paths, size
  manypath models show runs/edge.safetensors --json
  manypath models export runs/stage1 --output edge.safetensors
"""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "models",
        help="the models that are here, their digests and shapes",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(func=list_models)
    actions = parser.add_subparsers(metavar="ACTION", title="actions (none: list the models)")

    show = actions.add_parser(
        "show",
        help="what one model is made of",
        description="Load a model, which checks it, and show what it is made of.",
        epilog="example:\n  manypath models show edge",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("model", help="a shipped model's name or a .safetensors file")
    show.add_argument("--json", action="store_true", help="JSON instead of lines")
    show.set_defaults(func=show_model)

    export = actions.add_parser(
        "export",
        help="turn a training run into a model file",
        description="Freeze a training run's averaged weights: integers, tables, digest, half precision.",
        epilog="example:\n  manypath models export runs/stage1 --output edge.safetensors",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("run", help="run folder that `manypath train` wrote")
    export.add_argument("-o", "--output", required=True, metavar="FILE", help="a .safetensors file")
    export.add_argument("-f", "--force", action="store_true", help="overwrite the file if it exists")
    export.set_defaults(func=export_model)


def list_models(_args: argparse.Namespace) -> int:
    """List the shipped models, one line each.

    Raises:
        CheckpointError: one of them is damaged.
    """
    from manypath import checkpoint

    for name, file in checkpoint.shipped().items():
        facts = _facts(file)
        print(
            f"{name:12}  digest {facts['digest'][:8]}  {facts['parameters'] / 1e6:.2f} M parameters  "
            f"{facts['file_bytes'] / 1e6:.1f} MB  paths {', '.join(facts['paths'])}"
        )
    return 0


def show_model(args: argparse.Namespace) -> int:
    """Show one model.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    from manypath import checkpoint

    facts = _facts(checkpoint.find(args.model))
    if args.json:
        print(json.dumps(facts, indent=2))
        return 0
    config = facts.pop("config")
    for key, value in [*facts.items(), *(f for f in config.items() if f[0] not in ("name", "sides"))]:
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        print(f"{key:18}  {text}")
    return 0


def export_model(args: argparse.Namespace) -> int:
    """Turn a training run into a model file.

    Raises:
        UsageError: the output's name does not fit, or it exists.
        CheckpointError: the folder holds no training run.
    """
    from pathlib import Path

    from manypath_cli.jobs import Job
    from manypath_lab.export import export_run

    output = Path(args.output)
    if output.suffix != ".safetensors":
        raise UsageError(f"--output must end in .safetensors, got {output}")
    if output.exists() and not args.force:
        raise UsageError(f"{output} exists; give --force to overwrite")
    Job(None, output).write(export_run(Path(args.run)))
    facts = _facts(output)
    print(f"{output}: digest {facts['digest'][:8]}, {facts['file_bytes'] / 1e6:.1f} MB")
    return 0


def _facts(file: Path) -> dict[str, Any]:
    """Return what a checkpoint is made of, in the order in which it is shown."""
    import dataclasses

    from manypath import checkpoint
    from manypath.codec import Codec

    try:
        file_bytes = file.stat().st_size
    except OSError as err:
        raise FileError(f"cannot read {file}: {err.strerror}") from err
    released = checkpoint.load(file)
    config = released.model.config
    return {
        "name": config.name,
        "file": str(file),
        "file_bytes": file_bytes,
        "digest": released.digest,
        "parameters": sum(parameter.numel() for parameter in released.model.parameters()),
        "paths": sorted(Codec(released, config.name).trained_paths),
        "config": dataclasses.asdict(config),
    }
