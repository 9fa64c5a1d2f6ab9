"""How tokens get to their paths: gathering against dense masking, ``python -m benchmarks.masking``.

One block of the published network's synthesis. *Gathered* is what the codec does: each path takes its tokens, piece by
piece. *Dense* runs both paths on all tokens and lets a mask choose. *Over* runs the path with more tokens on all, and
puts the others' results over its own.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from manypath import checkpoint
from manypath.aggregation import Route
from manypath.allocation import keep_memory
from manypath.config import PUBLISHED_SIDES
from manypath.gain import quality_to_code
from manypath.transforms import MAIN, Block
from manypath_lab.profile.machine import this_machine

SHARES = (0.02, 0.1, 0.5, 0.9, 0.98)  # of tokens on the main path
SIDES = ("mse", "classification")

Way = Callable[[], Tensor]


def ways(block: Block, tokens: Tensor, side: str, main: Tensor, gain: Tensor) -> dict[str, Way]:
    """Return three functions that give the same tokens [N, C].

    Args:
        block: of a trained or untrained model.
        tokens: [N, C]; left as they are.
        side: name of the other path.
        main: bool [N], which tokens take the main path.
        gain: [C], of the block's MLPs.
    """
    chosen = Route(main.nonzero()[:, 0], (~main).nonzero()[:, 0])
    more, fewer, index = (MAIN, side, chosen.side) if main.float().mean() > 0.5 else (side, MAIN, chosen.main)

    def run(name: str, own: Tensor, index: Tensor | None = None) -> Tensor:
        return block._add_path_in_place(own, gain, name, index)

    def gathered() -> Tensor:
        out = tokens.clone()
        run(MAIN, out, chosen.main)
        return run(side, out, chosen.side)

    def dense() -> Tensor:
        return torch.where(main[:, None], run(MAIN, tokens.clone()), run(side, tokens.clone()))

    def over() -> Tensor:
        return run(more, tokens.clone()).index_copy_(0, index, run(fewer, tokens[index]))

    return {"gathered": gathered, "dense": dense, "over": over}


def milliseconds(way: Way, rounds: int) -> float:
    """Return the best round's time."""
    spent = []
    for _ in range(rounds):
        begun = time.perf_counter()
        way()
        spent.append(time.perf_counter() - begun)
    return 1000 * min(spent)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.masking", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tinylic", help="of the published family (default: %(default)s)")
    parser.add_argument("--width", type=int, default=768, help="of the picture (default: %(default)s)")
    parser.add_argument("--height", type=int, default=512, help="of the picture (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    return parser.parse_args(arguments)


@torch.inference_mode()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    options = parse(arguments)
    keep_memory()
    torch.set_num_threads(options.threads)
    machine = this_machine()
    model = checkpoint.random_model(options.preset, sides=PUBLISHED_SIDES).model
    block = model.g_s.groups[-1].blocks[0]  # type: ignore[index]  # at half the picture's resolution
    assert isinstance(block, Block)
    gain = block.mlp_gain(torch.tensor([quality_to_code(4.0)]))[0]
    tokens = torch.randn(options.height * options.width // 4, len(gain))
    lines = ["| side | rho | gathered, ms | dense, ms | over, ms |", "|---|---|---|---|---|"]
    for side in SIDES:
        for share in tqdm(SHARES, desc=side, disable=None):
            made = ways(block, tokens, side, torch.rand(len(tokens)) < share, gain)
            times = " | ".join(f"{milliseconds(way, options.rounds):.0f}" for way in made.values())
            lines.append(f"| {side} | {share:g} | {times} |")
    print(f"{machine.describe()}; {options.preset}, {options.width}x{options.height}, {options.threads} thread(s)")
    print("\n".join(lines))
    if not machine.quiet:
        print(f"NOT QUIET: the load was {machine.load:.1f} before the run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
