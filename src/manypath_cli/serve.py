"""``manypath serve``: runs one of the services in the foreground."""

from __future__ import annotations

import argparse
import importlib
import os
from typing import TYPE_CHECKING

from manypath_cli.exits import UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from manypath_services.common.settings import ServiceSettings

_SERVICES = {
    "encoder": "EncoderSettings",
    "decoder": "DecoderSettings",
    "worker": "WorkerSettings",
    "console": "ConsoleSettings",
}

_DESCRIPTION = """\
Run a service until it is asked to end (Ctrl-C or SIGTERM); it then finishes what it accepted. Settings come from
MANYPATH_<SERVICE>_<NAME> in the environment and from --set; an unknown name or a bad value stops start-up. Logs
are lines of JSON on stderr; health, reflection and, on a port of their own, Prometheus metrics are always there.
"""

_EXAMPLES = """\
examples, in three terminals; before the first, build the worker's models by `manypath lab classifier install` and
`manypath lab segmenter install`:
  manypath serve worker --set port=50053
  manypath serve decoder --set workers='{"classification": "localhost:50053/efficientnet-lite0",
                                         "segmentation": "localhost:50053/street-segmenter"}'
  manypath serve encoder --set uplink=localhost:50052

  manypath serve console                  pages beside them: http://localhost:8080
  manypath serve encoder --settings       every setting, its default and what it means
"""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "serve",
        help="run the encoder, decoder, worker or console service",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("service", choices=tuple(_SERVICES), help="which one")
    parser.add_argument(
        "-s",
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="one setting, as if MANYPATH_<SERVICE>_NAME were VALUE; may be given several times",
    )
    parser.add_argument("--settings", action="store_true", dest="explain", help="list the settings and end")
    parser.set_defaults(func=serve)


def serve(args: argparse.Namespace) -> int:
    """Run the service, or explain its settings.

    Raises:
        UsageError: a setting is unknown or bad.
    """
    module = importlib.import_module(f"manypath_services.{args.service}.settings")
    settings_class: type[ServiceSettings] = getattr(module, _SERVICES[args.service])
    if args.explain:
        print(_explanation(args.service, settings_class))
        return 0
    prefix = f"MANYPATH_{args.service.upper()}_"
    for setting in args.settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set takes NAME=VALUE, got {setting!r}")
        os.environ[f"{prefix}{name.upper()}"] = value
    from manypath_services.common.settings import SettingsError

    try:
        settings_class.load()
    except SettingsError as err:
        raise UsageError(str(err)) from err
    return int(importlib.import_module(f"manypath_services.{args.service}.__main__").main())


def _explanation(service: str, settings_class: type[ServiceSettings]) -> str:
    lines = []
    for name, field in settings_class.model_fields.items():
        try:
            default = field.get_default(call_default_factory=True)
        except ValueError as err:
            default = f" ({err})"
        lines.append(f"MANYPATH_{service.upper()}_{name.upper()}={default}\n    {field.description}")
    return "\n".join(lines)
