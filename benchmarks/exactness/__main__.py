"""The command: ``python -m benchmarks.exactness``."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.command import command
from benchmarks.exactness.conditions import ON_CPU, ON_GPU, REFERENCE, Condition
from benchmarks.exactness.probe import Order, store_random
from manypath_lab.machine import cpu_flags, this_machine

ROOT = pathlib.Path(__file__).resolve().parents[2]

_DESCRIPTION = """\
Show that symbols are equal everywhere: run the codec in one process per condition (threads, instruction sets,
fp32 and bf16 transforms, batch sizes, and CUDA where there is a device), compare the entropy parameters of
every position with a reference, and let each condition decode the reference's bitstreams and the reference
decode each condition's. Prints PASS, or the first difference of each kind; the exit status is 1 if anything
differs.
"""

_EXAMPLES = """\
examples:
  python -m benchmarks.exactness
  python -m benchmarks.exactness --model runs/a.safetensors
  python -m benchmarks.exactness --model tiny-random --no-gpu
"""


class Verdict(NamedTuple):
    """What one condition showed.

    Attributes:
        condition: Its name.
        compared: How many means and scale indexes were compared.
        differences: One message per kind of difference, or why it could not run; empty if all is equal.
        skipped: Why it was not run, or an empty string.
    """

    condition: str
    compared: int
    differences: tuple[str, ...]
    skipped: str = ""


def first_difference(reference: pathlib.Path, other: pathlib.Path) -> tuple[int, str]:
    """Compare two ``parameters.npz``; return how many values were compared and the first that differs."""
    compared = 0
    with np.load(reference) as expected, np.load(other) as actual:
        if set(expected.files) != set(actual.files):
            return 0, "the two runs recorded different steps; they are not of one model"
        for name in expected.files:
            one, two = expected[name], actual[name]
            if one.shape != two.shape:
                return compared, f"{name}: shape {two.shape}, expected {one.shape}"
            compared += one.size
            unequal = np.argwhere(one != two)
            if len(unequal):
                position, channel = unequal[0]
                unit = " sixteenths" if name.endswith("mean") else ""
                where = f"{name}, position {position}, channel {channel} of its slice"
                values = f"{two[position, channel]}{unit}, the reference says {one[position, channel]}"
                return compared, f"{where}: {values} ({len(unequal)} of {one.size} differ)"
    return compared, ""


def run_condition(condition: Condition, model: str, folder: pathlib.Path, reference: pathlib.Path | None) -> str:
    """Run one condition in a process of its own; return its complaint about the reference's streams.

    Raises:
        RuntimeError: The process failed; the message ends with its last words.
    """
    folder.mkdir()
    order = Order(condition._asdict(), model, str(folder), str(reference) if reference else "")
    complaint = json.loads(_ask(["probe", json.dumps(order._asdict())], condition))
    return str(complaint)


def _ask(arguments: Sequence[str], condition: Condition) -> str:
    command = [sys.executable, "-m", "benchmarks.exactness.probe", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=condition.environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip()[-600:] or f"exit status {done.returncode}")
    return done.stdout.strip().splitlines()[-1]


def compare(model: str, conditions: Sequence[Condition]) -> list[Verdict]:
    """Run the reference and every condition, and compare.

    Raises:
        RuntimeError: The reference itself failed.
    """
    flags = cpu_flags()
    verdicts: dict[str, Verdict] = {}
    with tempfile.TemporaryDirectory() as root:
        if model.endswith("-random"):
            model = store_random(model.removesuffix("-random"), pathlib.Path(root) / "random.safetensors")
        reference = pathlib.Path(root) / "reference"
        run_condition(REFERENCE, model, reference, None)
        folders: dict[str, pathlib.Path] = {}
        for number, condition in enumerate(tqdm(conditions, unit="condition", disable=None)):
            if condition.needs and condition.needs not in flags:
                why = f"this CPU has no {condition.needs}"
                verdicts[condition.name] = Verdict(condition.name, 0, (), why)
                continue
            folder = pathlib.Path(root) / f"condition-{number}"
            try:
                complaint = run_condition(condition, model, folder, reference)
            except RuntimeError as err:
                verdicts[condition.name] = Verdict(condition.name, 0, (f"could not run: {err}",))
                continue
            compared, difference = first_difference(reference / "parameters.npz", folder / "parameters.npz")
            differences = [difference] if difference else []
            differences += [f"cannot decode the reference's stream {complaint}"] if complaint else []
            verdicts[condition.name] = Verdict(condition.name, compared, tuple(differences))
            folders[condition.name] = folder
        complaints = json.loads(_ask(["read", model, *map(str, folders.values())], REFERENCE)) if folders else {}
    for name, folder in folders.items():
        if complaints[folder.name]:
            message = f"the reference cannot decode its stream {complaints[folder.name]}"
            verdicts[name] = verdicts[name]._replace(differences=(*verdicts[name].differences, message))
    return list(verdicts.values())


def report(verdicts: Sequence[Verdict]) -> str:
    """Return the result as lines of text, the verdict last."""
    lines = []
    for verdict in verdicts:
        if verdict.skipped:
            lines.append(f"skip  {verdict.condition}: {verdict.skipped}")
        elif verdict.differences:
            lines += [f"DIFF  {verdict.condition}: {difference}" for difference in verdict.differences]
        else:
            lines.append(f"same  {verdict.condition}: {verdict.compared:,} means and scale indexes; all streams")
    wrong = sum(bool(verdict.differences) for verdict in verdicts)
    ran = sum(not verdict.skipped for verdict in verdicts)
    lines.append(f"PASS: {ran} conditions equal the reference" if not wrong else f"FAIL: {wrong} of {ran} conditions")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; 1 if anything differs."""
    parser = command("exactness", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("--no-gpu", action="store_true", help="leave a CUDA device alone")
    options = parser.parse_args(arguments)
    machine = this_machine()
    print(f"{machine.describe()}; model {options.model}")
    conditions = [*ON_CPU, *(ON_GPU if machine.gpu and not options.no_gpu else ())]
    try:
        verdicts = compare(options.model, conditions)
    except RuntimeError as err:
        print(f"the reference could not run: {err}", file=sys.stderr)
        return 2
    print(report(verdicts))
    if not machine.gpu:
        print("no CUDA device here: nothing was compared on a GPU")
    return 1 if any(verdict.differences for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
