"""``manypath lab profile``: the command."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DEFAULT_MODELS = ("edge", "tinylic/decoder", "bmshj2018-hyperprior", "mbt2018-mean")
PUBLISHED = "tinylic/steps"

_DESCRIPTION = """\
Show what models cost: parameters, multiply-accumulates per pixel of each stage for each path and share of tokens on
the main path (rho), milliseconds per stage, and peak memory. A MODEL is

  edge, FILE.safetensors   a model that is shipped, or a file
  PRESET-random            an untrained one: edge, tinylic, ...; PRESET-random-sides has three side paths
  tinylic/steps            the published network as it was put together, in four steps: tinylic/plain,
                           tinylic/gains, tinylic/encoder, tinylic/decoder
  bmshj2018-hyperprior, mbt2018-mean, mbt2018, cheng2020-anchor
                           CompressAI's networks

kMAC/px are in our order of operations; a token of neighbourhood attention counts as its window, 2 * window^2 *
channels. Times are of one picture of noise at quality 4, the best of the runs; each model has a process of its own.
The published network takes seconds a picture on a CPU, and cheng2020-anchor longer still.
"""
_EXAMPLE = """\
examples:
  manypath lab profile
  manypath lab profile tinylic/steps --runs 0
  manypath lab profile edge tinylic/decoder cheng2020-anchor --threads 1 --output runs/profile
  manypath lab profile edge --device cuda --dtype bfloat16 --json
"""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "profile",
        help="what models cost: parameters, MACs per pixel, latency, memory",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"(default: {' '.join(DEFAULT_MODELS)})")
    parser.add_argument("--size", default="768x512", metavar="WxH", help="of the picture, pixels (default: 768x512)")
    parser.add_argument("--runs", type=int, default=1, help="of which the best counts; 0: only count (default: 1)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="(default: all, %(default)s here)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="of the transforms")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of tables")
    form.add_argument("--csv", action="store_true", help="print CSV, a line per figure, instead of tables")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="also write profile.json, .csv, .md and a chart, .png and .svg"
    )
    parser.set_defaults(func=show)


def show(args: argparse.Namespace) -> int:
    """Profile every model and print what was found; 1 if one could not be measured.

    Raises:
        ConfigError: the size is not two numbers of pixels, or there are no threads or runs.
        CheckpointError: there is no such model.
    """
    from tqdm import tqdm

    from manypath_lab.machine import this_machine
    from manypath_lab.profile.published_steps import STEPS
    from manypath_lab.profile.report import Profile, Report, draw, to_csv, to_json, to_markdown
    from manypath_lab.profile.subject import make_subject
    from manypath_lab.profile.worker import Task, measure

    width, height = _size(args.size)
    _check(args)
    names = [step for name in args.models or DEFAULT_MODELS for step in (STEPS if name == PUBLISHED else (name,))]
    profiles = []
    with tqdm(names, disable=not sys.stderr.isatty(), leave=False) as bar:
        for name in bar:
            bar.set_description(name)
            subject = make_subject(name)
            task = Task(name, height, width, args.runs, args.threads, args.device, args.dtype)
            try:
                measured = measure(task) if args.runs else None
            except RuntimeError as err:  # the process' own words, such as too large a picture
                print(f"manypath: error: {err}", file=sys.stderr)
                return 1
            profiles.append(Profile(name, subject.note, tuple(subject.parts()), measured))
    timed = f"{width}x{height}, {args.threads} thread(s), {args.device}, {args.dtype}" if args.runs else "counted"
    report = Report(tuple(profiles), this_machine().describe(), timed)
    print((to_json if args.json else to_csv if args.csv else to_markdown)(report), end="")
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        for suffix, text in (("json", to_json(report)), ("csv", to_csv(report)), ("md", to_markdown(report))):
            (args.output / f"profile.{suffix}").write_text(text, encoding="utf-8")
        figure = draw(report)
        for suffix in ("png", "svg"):
            figure.savefig(args.output / f"profile.{suffix}", dpi=150)
    return 0


def _check(args: argparse.Namespace) -> None:
    from manypath.errors import ConfigError

    if args.threads < 1 or args.runs < 0:
        raise ConfigError(f"--threads is at least 1 and --runs at least 0; got {args.threads} and {args.runs}")
    if args.device != "cpu":
        import torch

        if not torch.cuda.is_available():
            raise ConfigError(
                f"--device {args.device}: PyTorch sees no GPU here; leave it out, or install a CUDA build"
            )


def _size(text: str) -> tuple[int, int]:
    from manypath.errors import ConfigError

    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ConfigError(f"--size is WIDTHxHEIGHT in pixels, such as 768x512; got {text!r}")
    return int(width), int(height)
