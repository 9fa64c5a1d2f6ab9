"""``manypath token``: makes a bearer token for a caller without a certificate."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from manypath_cli.exits import UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_DESCRIPTION = """\
Make a token for a caller: its secret is printed, or written to a file, and is nowhere else; the line with its hash is
appended to the server's file, which is read again by itself. Remove the line, and the token is revoked.
"""

_EXAMPLES = """\
examples:
  manypath token camera-7 --file tokens --secret camera-7.token
  manypath serve decoder -s token_file=tokens -s tls_certificate=decoder.pem -s tls_key=decoder.key
  manypath serve encoder -s uplink=decoder.example.com:443 -s uplink_tls=true -s uplink_token_file=camera-7.token
"""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "token",
        help="make a token for a caller without a certificate",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="of the caller, as logs show it: letters, digits and ._/-")
    parser.add_argument("--file", type=Path, help="the server's file of tokens, which gets a line; else it is printed")
    parser.add_argument("--secret", type=Path, help="write the secret here, for its owner's eyes; else it is printed")
    parser.set_defaults(func=make)


def make(args: argparse.Namespace) -> int:
    """Make a token.

    Raises:
        UsageError: the name is none, or a file is there already.
    """
    from manypath_services.common.errors import TokenFileError
    from manypath_services.common.tokens import new_token

    try:
        token = new_token(args.name)
    except TokenFileError as err:
        raise UsageError(str(err)) from err
    if args.secret is None:
        print(token.secret)
    else:
        try:
            args.secret.touch(mode=0o600, exist_ok=False)
        except FileExistsError as err:
            raise UsageError(f"{args.secret} is there already; a secret overwrites nothing") from err
        args.secret.write_text(token.secret + "\n", encoding="ascii")
    if args.file is None:
        print(token.line)
    else:
        with args.file.open("a", encoding="utf-8") as file:
            file.write(token.line + "\n")
    return 0
