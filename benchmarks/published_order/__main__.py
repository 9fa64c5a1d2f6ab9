"""Ours against the published order of operations, on the same weights: ``python -m benchmarks.published_order``.

Both code and decode one picture, in turns, in one process; the best round of each counts. Before anything is timed,
their numbers must be the same. Real coding on both sides; only ours writes and checks a container.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from benchmarks.picture import Pixels, load_or_make
from benchmarks.published_order.attention import gathered_attention
from benchmarks.published_order.codec import Attention, Encoded, PublishedOrder
from manypath import checkpoint
from manypath.allocation import keep_memory
from manypath.attention import neighbourhood_attention
from manypath.codec import Codec, StageTimings
from manypath.config import PRESETS, PUBLISHED_SIDES
from manypath.model import MPAModel
from manypath.transforms import Routing
from manypath_lab.profile.machine import this_machine

QUALITIES = (1.0, 4.0, 8.0)  # the analysis' cheap path alone, both, its dear path alone
DECODED_QUALITY = 4.0
ROUTES = (("mse", 1.0), ("mse", 0.5), ("classification", 0.5), ("classification", 0.0))  # path, share on the main path
SAME = 1e-3  # of the standard deviation: closer is equal
ALLOWED = 1e-2  # share of values that may be apart: near tokens whose scores are equal but for rounding

ATTENTIONS: dict[str, Attention] = {"gathered": gathered_attention, "ours": neighbourhood_attention}

_EXAMPLES = """\
examples:
  python -m benchmarks.published_order
  python -m benchmarks.published_order --model published.safetensors --rounds 5 --threads 2 --output order.json
  python -m benchmarks.published_order --attention ours         what all but attention brings
  python -m benchmarks.published_order --dtypes float32,bfloat16
"""


class Task(NamedTuple):
    """One thing that both do; each returns seconds per stage.

    Attributes:
        name: for people.
        published: in the published order.
        ours: the same per data type of the transforms.
    """

    name: str
    published: Callable[[], dict[str, float]]
    ours: dict[str, Callable[[], dict[str, float]]]


class Timed(NamedTuple):
    """The best rounds of a task, seconds, with their stages; ``ours`` per data type of the transforms."""

    name: str
    published: dict[str, float]
    ours: dict[str, dict[str, float]]


def load(name: str) -> checkpoint.Released:
    """Return a model of the published family with its three sides: a preset's name, untrained, or a file."""
    if name not in PRESETS:
        return checkpoint.load(name)
    released = checkpoint.random_model(name, sides=PUBLISHED_SIDES)
    scatter_scores(released.model)
    return released


def scatter_scores(model: MPAModel) -> None:
    """Give untrained predictors opinions, so that routes scatter over the picture as trained ones do."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, parameter in model.named_parameters():
            if ".predictors." in name and parameter.dim() > 1:
                parameter.normal_(std=parameter.shape[1] ** -0.5)  # more would saturate the published sigmoid: ties


class Race:
    """Both on one picture.

    Args:
        name: of the model.
        image: uint8 [H, W, 3], sides multiples of 64.
        dtypes: of our transforms.
        attention: of the published order, one of ``ATTENTIONS``.
    """

    def __init__(self, name: str, image: Pixels, dtypes: Sequence[str], attention: str = "gathered") -> None:
        self.image = image
        self.x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        self.published = PublishedOrder(load(name).model, ATTENTIONS[attention])
        self.codecs = {dtype: Codec(load(name), name, dtype=dtype) for dtype in dtypes}
        self.encoded: Encoded = self.published.encode(self.x, DECODED_QUALITY)
        self.streams = {dtype: codec.encode(image, quality=DECODED_QUALITY) for dtype, codec in self.codecs.items()}

    @torch.no_grad()
    def latents_apart(self, quality: float) -> float:
        """Return the share of latents by which the two analyses differ."""
        code = self.published.encode(self.x, quality).code
        model = self.published.model
        own = model.g_a(self.x.permute(0, 2, 3, 1), code, model.analysis_routing(code, exact=True))
        theirs = self.published.y.permute(0, 2, 3, 1)
        return float(((own - theirs).abs() > SAME * theirs.std()).float().mean())

    @torch.no_grad()
    def values_apart(self, path: str, share: float) -> float:
        """Return the share of the picture's values by which the two syntheses of one latent differ."""
        theirs = self.published.decode(self.encoded, path, share).permute(0, 2, 3, 1)
        model, code = self.published.model, self.encoded.code
        tokens = model.shared_tokens(self.published.y_hat.permute(0, 2, 3, 1), code)
        own = model.g_s(tokens, code, Routing(path, torch.tensor([share]), exact=True))
        return float(((own - theirs).abs() > SAME * theirs.std()).float().mean())

    def tasks(self) -> list[Task]:
        """Return encoding at each quality and decoding by each route."""
        made = [
            Task(
                f"encode, quality {quality:g}",
                functools.partial(self._published_encode, quality),
                {dtype: functools.partial(self._encode, dtype, quality) for dtype in self.codecs},
            )
            for quality in QUALITIES
        ]
        made += [
            Task(
                f"decode, {path}, rho {share:g}",
                functools.partial(self._published_decode, path, share),
                {dtype: functools.partial(self._decode, dtype, path, share) for dtype in self.codecs},
            )
            for path, share in ROUTES
        ]
        return made

    def _published_encode(self, quality: float) -> dict[str, float]:
        self.published.encode(self.x, quality)
        return self.published.seconds

    def _published_decode(self, path: str, share: float) -> dict[str, float]:
        self.published.decode(self.encoded, path, share)
        return self.published.seconds

    def _encode(self, dtype: str, quality: float) -> dict[str, float]:
        timings = StageTimings()
        self.codecs[dtype].encode(self.image, quality=quality, timings=timings)
        return _stages(timings)

    def _decode(self, dtype: str, path: str, share: float) -> dict[str, float]:
        timings = StageTimings()
        self.codecs[dtype].decode(self.streams[dtype], path=path, task_share=1.0 - share, timings=timings)
        return _stages(timings)


def _stages(timings: StageTimings) -> dict[str, float]:
    """Return our stages by the names that the published order has."""
    spent = dict(timings.seconds)
    entropy = spent.pop("entropy_parameters", 0.0) + spent.pop("coding", 0.0)
    return {**spent, "entropy": entropy}


def best(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the round that took least in all."""
    return min(rounds, key=lambda spent: sum(spent.values()))


def table(timed: Sequence[Timed]) -> str:
    """Return a line per task and data type, for a page of Markdown."""
    lines = [
        "| task | ours in | published, ms | ours, ms | ratio | transforms | entropy and coding |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, published, ours in timed:
        for dtype, own in ours.items():
            theirs, mine = sum(published.values()), sum(own.values())
            entropy = published["entropy"] / own["entropy"]
            transforms = (theirs - published["entropy"]) / (mine - own["entropy"])
            lines.append(
                f"| {name} | {dtype} | {1000 * theirs:.0f} | {1000 * mine:.0f} | {theirs / mine:.2f} | "
                f"{transforms:.2f} | {entropy:.2f} |"
            )
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.published_order",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", default="tinylic", help="preset (untrained) or file with mse and classification sides"
    )
    parser.add_argument("--picture", metavar="FILE", help="sides multiples of 64; default: a made one")
    parser.add_argument("--width", type=int, default=768, help="of the made picture (default: %(default)s)")
    parser.add_argument("--height", type=int, default=512, help="of the made picture (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--dtypes", default="float32", metavar="T,T", help="float32, bfloat16 (default: %(default)s)")
    parser.add_argument(
        "--attention", default="gathered", choices=ATTENTIONS, help="of the published order (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the figures as JSON")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 if the two do not compute the same numbers."""
    options = parse(arguments)
    keep_memory()
    torch.set_num_threads(options.threads)
    machine = this_machine()
    image = load_or_make(options.picture, options.height, options.width)
    height, width, _ = image.shape
    race = Race(options.model, image, options.dtypes.split(","), options.attention)
    print(
        f"{machine.describe()}; {options.model}, {width}x{height}, {options.threads} thread(s), "
        f"published order with attention {options.attention}"
    )
    apart = {f"analysis, quality {quality:g}": race.latents_apart(quality) for quality in QUALITIES}
    apart |= {f"synthesis, {path}, rho {share:g}": race.values_apart(path, share) for path, share in ROUTES}
    for name, found in apart.items():
        print(f"{name}: {100 * found:.4f} % of the values differ by more than {SAME:g} of their spread")
    if max(apart.values()) > ALLOWED:
        print("the two do not compute the same numbers; nothing was timed", file=sys.stderr)
        return 1
    timed = []
    for task in tqdm(race.tasks(), disable=None):
        rounds = [(task.published(), {k: own() for k, own in task.ours.items()}) for _ in range(options.rounds)]
        timed.append(
            Timed(
                task.name,
                best([theirs for theirs, _ in rounds]),
                {dtype: best([own[dtype] for _, own in rounds]) for dtype in task.ours},
            )
        )
    print(table(timed))
    if "bfloat16" in race.codecs and not machine.bf16:
        print("no bf16 units here: bfloat16 is emulated and says nothing")
    if not machine.quiet:
        print(f"NOT QUIET: the load was {machine.load:.1f} before the run")
    if options.output:
        figures = {"machine": machine._asdict(), "timed": [one._asdict() for one in timed]}
        options.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
