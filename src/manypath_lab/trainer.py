"""One training run: a recipe and pictures in, a run folder out, resumable to the step.

Run folder: ``recipe.json``, ``state.pt`` (to resume), ``curves.csv``, ``tensorboard/`` and ``samples/`` (sheets of
originals above reconstructions at qualities 1, 4.5 and 8).
"""

from __future__ import annotations

import csv
import dataclasses
import time
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from manypath.config import LEVELS, PRESETS, QUALITY_CODES, QUALITY_STEPS
from manypath.image import to_image
from manypath.model import MPAModel
from manypath_lab.data import PictureSet
from manypath_lab.linear_start import linear_start
from manypath_lab.losses import PerceptualTerm, rate_distortion, ratio_loss, squared_error
from manypath_lab.rate import RateModel, StepBits
from manypath_lab.recipe import LearningRates, Recipe

SAMPLE_EVERY = 1000  # steps


class TrainingNetwork(nn.Module):
    """The model and its priors, averaged and saved together."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        config = PRESETS[recipe.preset]
        self.model = MPAModel(dataclasses.replace(config, mixer=recipe.mixer) if recipe.mixer else config)
        self.rate = RateModel(config)


class Means(NamedTuple):
    """Averages over the steps since the last report."""

    loss: float
    bpp: float
    psnr: float
    gradient: float


def kind_of(name: str) -> str:
    """Return which learning rate a parameter of ``TrainingNetwork`` takes."""
    parts = name.split(".")
    if "index_offset" in parts:
        return "index"
    if parts[-1] in ("log2", "shift"):
        return "tables"
    if parts[1] in ("g_a", "g_s"):
        return "linear" if parts[2] in ("embed", "merge", "split", "paint") else "transforms"
    return "entropy"


def make_optimizer(network: nn.Module, rates: LearningRates) -> torch.optim.Adam:
    """Return Adam with one group per kind of parameter, each remembering its base rate."""
    kinds: dict[str, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            kinds.setdefault(kind_of(name), []).append(parameter)
    groups = [{"params": params, "base": getattr(rates, kind), "kind": kind} for kind, params in kinds.items()]
    return torch.optim.Adam(groups, lr=1.0, betas=(0.9, 0.98), fused=True)


class Trainer:
    """Owns the network, the optimiser, the average and the generators of one run."""

    def __init__(self, recipe: Recipe, pictures: PictureSet, folder: Path, device: str = "cpu") -> None:
        self.recipe = recipe
        self.pictures = pictures
        self.folder = folder
        self.device = torch.device(device)
        torch.manual_seed(recipe.seed)
        self.random = np.random.default_rng(recipe.seed)
        self.network = TrainingNetwork(recipe)
        linear_start(self.network.model, pictures, recipe.seed)
        self.network.to(self.device)
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))  # type: ignore[no-untyped-call]
        self.optimizer = make_optimizer(self.network, recipe.learning_rates)
        self.perceptual = PerceptualTerm.default(self.device) if self._wants_perceptual() else None
        self.step = 0
        self.seconds = 0.0
        self._autocast = self.device.type == "cuda" or _has_bf16_units()

    def _wants_perceptual(self) -> bool:
        return self.recipe.loss.perceptual > 0 and any(phase.perceptual for phase in self.recipe.phases)

    @property
    def state_file(self) -> Path:
        """Return where the run is saved."""
        return self.folder / "state.pt"

    def save(self) -> None:
        """Write the state so that a kill at any moment leaves either the old or the new one whole."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "torch": torch.get_rng_state(),
            "numpy": self.random.bit_generator.state,
        }
        temporary = self.state_file.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.state_file)

    def resume(self) -> bool:
        """Continue from the saved state, if there is one."""
        if not self.state_file.exists():
            return False
        state: dict[str, Any] = torch.load(self.state_file, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        groups = [(group["base"], group["kind"]) for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, (base, kind) in zip(self.optimizer.param_groups, groups, strict=True):
            group["base"], group["kind"] = base, kind  # the recipe's rates, should it have changed
        torch.set_rng_state(state["torch"].cpu())
        self.random.bit_generator.state = state["numpy"]
        self.step, self.seconds = state["step"], state["seconds"]
        return True

    def codes(self, batch: int) -> Tensor:
        """Draw a quality code per sample: a level, or any code."""
        levels = self.random.integers(0, LEVELS, batch) * QUALITY_STEPS
        anything = self.random.integers(0, QUALITY_CODES, batch)
        fraction = self.random.random(batch) < self.recipe.fractions
        return torch.from_numpy(np.where(fraction, anything, levels)).to(self.device)

    def train_step(self) -> Means:
        """Take one optimiser step."""
        phase, factor = self.recipe.at(self.step)
        x = self.pictures.crops(self.random, phase.batch, phase.crop).to(self.device)
        code = self.codes(phase.batch)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * factor
        bits = StepBits(self.network.rate)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
            out = self.network.model(x, code, bits, noise=True)
        bpp = (bits.bits + self.network.rate.hyper_bits(out.z)) / phase.crop**2
        error = squared_error(out.x_hat.float(), x)
        distortion = error
        weights = self.recipe.loss
        if phase.perceptual and self.perceptual is not None and self.step % weights.perceptual_every == 0:
            distance = self.perceptual(out.x_hat.float(), x)
            distortion = error + weights.perceptual * weights.perceptual_every * distance
        share = self.network.model.analysis_routing(code, exact=False).share
        loss = rate_distortion(bpp, distortion, code) + weights.ratio * ratio_loss(out.trace.soft_share, share)
        self.optimizer.zero_grad()
        loss.mean().backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        if bool(torch.isfinite(norm)):
            self.optimizer.step()
            self.average.update_parameters(self.network)
        self.step += 1
        psnr = 10 * torch.log10(255.0**2 / error.detach().clamp_min(1e-3)).mean()
        return Means(float(loss.detach().mean()), float(bpp.detach().mean()), float(psnr), float(norm))

    def run(self, *, save_seconds: float = 120.0, report_every: int = 100, max_seconds: float | None = None) -> None:
        """Train to the recipe's end, or for ``max_seconds``; saves on the way and when interrupted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recipe.json").write_text(self.recipe.model_dump_json(indent=2))
        board = _tensorboard(self.folder)
        begun = saved = last = time.monotonic()
        recent: list[Means] = []
        progress = tqdm(total=self.recipe.steps, initial=self.step, unit="step", disable=None)
        try:
            while self.step < self.recipe.steps and (max_seconds is None or last - begun < max_seconds):
                recent.append(self.train_step())
                now = time.monotonic()
                self.seconds += now - last
                last = now
                progress.update()
                if self.step % report_every == 0:
                    means = Means(*np.mean(recent, axis=0).tolist())
                    recent.clear()
                    progress.set_postfix(bpp=f"{means.bpp:.3f}", psnr=f"{means.psnr:.2f}", loss=f"{means.loss:.3f}")
                    self._report(means, board)
                if now - saved > save_seconds:
                    self.save()
                    saved = now
                if self.step % SAMPLE_EVERY == 0 or self.step == self.recipe.steps:
                    self._sample()
        finally:
            self.save()
            progress.close()
            if board is not None:
                board.close()

    @torch.no_grad()
    def _sample(self) -> None:
        """Write a sheet: two crops, and the averaged network's reconstructions at three levels below them."""
        phase, _ = self.recipe.at(self.step)
        crops = self.pictures.crops(np.random.default_rng(0), 2, phase.crop).to(self.device)
        model = cast("TrainingNetwork", self.average.module).model
        codes = (0, (QUALITY_CODES - 1) // 2, QUALITY_CODES - 1)
        rows = [crops, *(model(crops, torch.full((2,), code, device=self.device)).x_hat for code in codes)]
        sheet = torch.cat([torch.cat(tuple(row.float()), 1) for row in rows], 0)
        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        Image.fromarray(to_image(sheet)).save(folder / f"{self.step:07d}.png")

    def _report(self, means: Means, board: Any) -> None:
        file = self.folder / "curves.csv"
        fresh = not file.exists()
        with file.open("a", newline="") as handle:
            writer = csv.writer(handle)
            if fresh:
                writer.writerow(("step", "seconds", *Means._fields))
            writer.writerow((self.step, f"{self.seconds:.1f}", *(f"{value:.5f}" for value in means)))
        if board is not None:
            for name, value in means._asdict().items():
                board.add_scalar(f"train/{name}", value, self.step)


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))


def _has_bf16_units() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; without, autocast is ten times slower than float32."""
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())
