"""``manypath models``: which models are here, what one is made of, and how a run or a published file becomes one."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from manypath_cli.exits import FileError, UsageError
from manypath_cli.printable import printable

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
  manypath models import --from upstream mpa.pth.tar --output mpa.safetensors
  manypath models merge edge runs/cls.safetensors runs/seg.safetensors --output all.safetensors
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
        epilog="examples:\n  manypath models export runs/stage1 --output edge.safetensors\n"
        "  manypath models export runs/cls --model edge --output edge+cls.safetensors   a run that trained a side\n"
        "  manypath models export runs/joint --blend runs/stage1=0.7 --output edge.safetensors",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("run", help="run folder that `manypath lab train` wrote")
    export.add_argument("--model", default="edge", help="of a side's run: the model that gets the side (default: edge)")
    export.add_argument(
        "--blend",
        metavar="RUN=SHARE",
        help="take this share of the weights from another run or a file of float weights, one that this run began at: "
        "runs/stage1=0.7",
    )
    export.add_argument(
        "--floats", action="store_true", help="the float weights, to train on from with `lab train --init`; not a model"
    )
    _add_output(export)
    export.set_defaults(func=export_model)

    imported = actions.add_parser(
        "import",
        help="turn a published checkpoint into a model file",
        description="Take a checkpoint of the published MPA network, every tensor accounted for, into a model file. "
        "The checkpoint is a pickle: it is opened as plain tensors only, and refused if it holds anything else.",
        epilog="example:\n  manypath models import --from upstream mpa.pth.tar --output mpa.safetensors",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    imported.add_argument("checkpoint", help="the published file")
    imported.add_argument("--from", dest="origin", required=True, choices=("upstream",), help="whose names it uses")
    _add_output(imported)
    imported.set_defaults(func=import_model)

    quantise = actions.add_parser(
        "quantise",
        help="give a tinylic model integer entropy parameters",
        description="Turn the entropy part of a model of the published family into integers. Streams are then exact "
        "between machines, a GPU and a CPU among them; without, their checksum tells when two machines disagree. "
        "Nothing is trained. The new model and the given one do not read each other's streams.",
        epilog="example:\n  manypath models quantise mpa.safetensors --output mpa-integer.safetensors",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    quantise.add_argument("model", help="a .safetensors file with float entropy parameters")
    _add_output(quantise)
    quantise.set_defaults(func=quantise_model)

    merge = actions.add_parser(
        "merge",
        help="put side paths from several files into one",
        description="Take side paths from files of the same model; of two equal names the later one stays.",
        epilog="example:\n  manypath models merge edge cls.safetensors seg.safetensors --output all.safetensors",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    merge.add_argument("base", help="the model that gets the sides")
    merge.add_argument("others", nargs="+", metavar="model", help="where they come from")
    _add_output(merge)
    merge.set_defaults(func=merge_models)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="a .safetensors file")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite the file if it exists")


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
        print(f"{key:18}  {printable(str(text))}")
    return 0


def export_model(args: argparse.Namespace) -> int:
    """Turn a training run into a model file.

    Raises:
        UsageError: the output's name does not fit, or it exists.
        CheckpointError: the folder holds no training run.
    """
    from pathlib import Path

    from manypath_cli.jobs import Job
    from manypath_lab.training.export import blended_average, export_run

    output = _new_file(args)
    run = Path(args.run)
    other = None
    if args.blend:
        name, _, share = args.blend.rpartition("=")
        try:
            other = Path(name), float(share)
        except ValueError as err:
            raise UsageError(f"--blend takes RUN=SHARE, such as runs/stage1=0.7; got {args.blend!r}") from err
    if args.floats:
        from manypath_lab.training.float_weights import save_weights

        weights = save_weights(blended_average(run, other))
        Job(None, output).write(weights)
        print(f"{printable(output)}: float weights, {len(weights) / 1e6:.1f} MB, for `manypath lab train --init`")
        return 0
    if (run / "start.json").exists():
        from manypath_lab.training import sides
        from manypath_lab.training.stage2 import export_side

        if other is not None:
            raise UsageError("--blend is of a main model's runs; this one trained a side path: leave it out")
        return _write(output, sides.to_bytes(export_side(run, sides.read(args.model))))
    return _write(output, export_run(run, other))


def import_model(args: argparse.Namespace) -> int:
    """Turn a published checkpoint into a model file.

    Raises:
        UsageError: the output's name does not fit, or it exists.
        CheckpointError: the file is not a checkpoint of plain tensors, or a tensor is missing, left over or misshapen.
    """
    from manypath.convert import upstream

    return _write(_new_file(args), upstream.convert(args.checkpoint))


def quantise_model(args: argparse.Namespace) -> int:
    """Give a model of the published family integer entropy parameters.

    Raises:
        UsageError: the output's name does not fit, or it exists.
        CheckpointError: there is no such model, it is damaged, or its weights are too large for fixed point.
        ConfigError: its entropy parameters are integers already.
    """
    from manypath import checkpoint
    from manypath.convert.quantise import quantised

    return _write(_new_file(args), quantised(checkpoint.load(args.model)))


def merge_models(args: argparse.Namespace) -> int:
    """Put side paths from several files into one.

    Raises:
        UsageError: the output's name does not fit, or it exists.
        CheckpointError: a file is damaged, or holds another model.
    """
    from manypath_lab.training import sides

    output = _new_file(args)
    merged = sides.merge(sides.read(args.base), [sides.read(other) for other in args.others])
    return _write(output, sides.to_bytes(merged))


def _new_file(args: argparse.Namespace) -> Path:
    from pathlib import Path

    output = Path(args.output)
    if output.suffix != ".safetensors":
        raise UsageError(f"--output must end in .safetensors, got {output}")
    if output.exists() and not args.force:
        raise UsageError(f"{output} exists; give --force to overwrite")
    return output


def _write(output: Path, data: bytes) -> int:
    from manypath_cli.jobs import Job

    Job(None, output).write(data)
    facts = _facts(output)
    print(
        f"{printable(output)}: digest {facts['digest'][:8]}, {facts['file_bytes'] / 1e6:.1f} MB, "
        f"paths {', '.join(facts['paths'])}"
    )
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
