"""What every training run has in common: the loop, the run folder, saving and resuming to the step.

Run folder: ``recipe.json``, ``state.pt`` (to resume), ``curves.csv``, ``tensorboard/`` and ``samples/``. While a
process trains in it, its ``lock`` keeps others out: two that save by turns into one folder undo each other's steps.
"""

from __future__ import annotations

import abc
import contextlib
import csv
import fcntl
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from manypath.errors import ConfigError
from manypath.precision import AUTO, multiplies_bfloat16
from manypath_lab.training.recipe import BaseRecipe

SAMPLE_EVERY = 1000  # steps


class TrainingRun(abc.ABC):
    """Owns what is trained, its optimiser, its average and the generators of one run.

    Subclasses set ``columns`` and write ``train_step`` and ``sample``.

    Args:
        recipe: decides the run.
        folder: the run folder.
        network: what is trained; every parameter with a gradient goes to ``optimizer``.
        optimizer: with a ``base`` rate and a ``kind`` in each group.
        device: where it runs.

    Attributes:
        also: what else is saved and resumed, by name: a subclass that trains a second network puts it there.
    """

    columns: ClassVar[Sequence[str]]

    def __init__(
        self,
        recipe: BaseRecipe,
        folder: Path,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
    ) -> None:
        self.folder = folder
        self.device = device
        self.optimizer = optimizer
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))  # type: ignore[no-untyped-call]
        self.random = np.random.default_rng(recipe.seed)
        self.step = 0
        self.seconds = 0.0
        self.autocast = autocasts(recipe.precision, device)
        self.also: dict[str, nn.Module | torch.optim.Optimizer] = {}
        self._recipe = recipe
        self._trained = network
        self._alone = False

    @abc.abstractmethod
    def train_step(self) -> Mapping[str, float]:
        """Take one optimiser step and return a value for each of ``columns``."""

    @abc.abstractmethod
    def sample(self) -> None:
        """Write a picture of where training stands."""

    def descend(self, loss: torch.Tensor) -> float:
        """Take a step down a loss, at the recipe's rate; return the gradient's norm. Leaves out what is not finite."""
        norm, taken = self._descend(loss, self._trained, self.optimizer)
        if taken:
            self.average.update_parameters(self._trained)
        self.step += 1
        return norm

    def _descend(self, loss: torch.Tensor, network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[float, bool]:
        """Take an optimiser's step down a loss; return the norm of the network's gradient and whether it was taken."""
        _, factor = self._recipe.at(self.step)
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * factor
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(network.parameters(), self._recipe.clip)
        taken = bool(torch.isfinite(norm))
        if taken:
            optimizer.step()
        return float(norm), taken

    def products(self, *, exact: bool = False) -> torch.autocast:
        """Return the context in which products are of the run's precision, or of float32 where they must be exact.

        A part that stands still and decides the bitstream must be: streams are written in float32.
        """
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast and not exact)

    @property
    def state_file(self) -> Path:
        """Return where the run is saved."""
        return self.folder / "state.pt"

    def save(self) -> None:
        """Write the state so that a kill at any moment leaves either the old or the new one whole."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "network": self._trained.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "also": {name: part.state_dict() for name, part in self.also.items()},
            "torch": torch.get_rng_state(),
            "numpy": self.random.bit_generator.state,
        }
        temporary = self.state_file.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.state_file)

    def resume(self) -> bool:
        """Continue from the saved state, if there is one; within ``alone``, lest another process trains on from it."""
        if not self.state_file.exists():
            return False
        state: dict[str, Any] = torch.load(self.state_file, map_location=self.device, weights_only=True)
        self._trained.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        _load_optimizer(self.optimizer, state["optimizer"])
        for name, part in self.also.items():
            if isinstance(part, nn.Module):
                part.load_state_dict(state["also"][name])
            else:
                _load_optimizer(part, state["also"][name])
        torch.set_rng_state(state["torch"].cpu())
        self.random.bit_generator.state = state["numpy"]
        self.step, self.seconds = state["step"], state["seconds"]
        return True

    def run(self, *, save_seconds: float = 120.0, report_every: int = 100, max_seconds: float | None = None) -> None:
        """Train to the recipe's end, or for ``max_seconds``; saves on the way and when interrupted.

        Raises:
            ConfigError: another process trains in this folder.
        """
        with self.alone():
            self._run(save_seconds, report_every, max_seconds)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from training in the folder, which is made, until the block ends; blocks may be nested.

        Raises:
            ConfigError: another process trains in this folder.
        """
        if self._alone:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder):
            self._alone = True
            try:
                yield
            finally:
                self._alone = False

    def _run(self, save_seconds: float, report_every: int, max_seconds: float | None) -> None:
        (self.folder / "recipe.json").write_text(self._recipe.model_dump_json(indent=2))
        board = _tensorboard(self.folder)
        begin = saved = last = time.monotonic()
        recent: list[list[float]] = []
        progress = tqdm(total=self._recipe.steps, initial=self.step, unit="step", disable=None)
        try:
            while self.step < self._recipe.steps and (max_seconds is None or last - begin < max_seconds):
                means = self.train_step()
                recent.append([means[column] for column in self.columns])
                if self.step % self._recipe.validate_every == 0 or self.step == self._recipe.steps:
                    self._validate(board)
                now = time.monotonic()
                self.seconds += now - last
                last = now
                progress.update()
                if self.step % report_every == 0:
                    report = dict(zip(self.columns, map(_mean, zip(*recent, strict=True)), strict=True))
                    recent.clear()
                    progress.set_postfix({column: f"{value:.3f}" for column, value in report.items()})
                    self._report(report, board)
                if now - saved > save_seconds:
                    self.save()
                    saved = now
                if self.step % SAMPLE_EVERY == 0 or self.step == self._recipe.steps:
                    self.sample()
        finally:
            self.save()
            progress.close()
            if board is not None:
                board.close()

    def judgement(self) -> Mapping[str, float]:
        """Return what a validation found, by column; nothing where there is none."""
        return {}

    def _validate(self, board: Any) -> None:
        report = self.judgement()
        if report:
            self._write("validation.csv", "validation", report, board)

    def _report(self, report: Mapping[str, float], board: Any) -> None:
        self._write("curves.csv", "train", report, board)

    def _write(self, name: str, group: str, report: Mapping[str, float], board: Any) -> None:
        file = self.folder / name
        fresh = not file.exists()
        with file.open("a", newline="") as handle:
            writer = csv.writer(handle)
            if fresh:
                writer.writerow(("step", "seconds", *report))
            writer.writerow((self.step, f"{self.seconds:.1f}", *(f"{value:.5f}" for value in report.values())))
        if board is not None:
            for column, value in report.items():
                board.add_scalar(f"{group}/{column}", value, self.step)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a folder, for as long as this one does."""
    with (folder / "lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise ConfigError(f"another process trains in {folder}; end that one, or give this one a folder") from err
        yield


def _mean(values: Sequence[float]) -> float:
    """Return the mean of what is a number; not every step has every column."""
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan


def _load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimiser's state but for the recipe's rates, should these have changed."""
    groups = [(group["base"], group["kind"]) for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, (base, kind) in zip(optimizer.param_groups, groups, strict=True):
        group["base"], group["kind"] = base, kind


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))


def autocasts(precision: str, device: torch.device) -> bool:
    """Whether a run's products are bfloat16: as its recipe says, or where the device has units for it."""
    return multiplies_bfloat16(device) if precision == AUTO else precision == "bfloat16"
