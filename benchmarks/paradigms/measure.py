"""The same judgement for every variant: its loss on crops that are always the same, its cost, its time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.paradigms.paradigm import Paradigm
from benchmarks.paradigms.trainer import Batch, all_side, rate_loss
from manypath.geometry import LATENT_PIXELS
from manypath.multipath.routing import Trace
from manypath.quality import LEVELS, QUALITY_STEPS
from manypath_lab.profile import count as profile
from manypath_lab.training.data import PictureSet
from manypath_lab.training.rate import RateModel, StepBits
from manypath_lab.training.recipe import SideRecipe
from manypath_lab.training.side_loss import SideLossTerms, SidePicture

TIMED_HEIGHT, TIMED_WIDTH = 512, 768  # pixels
_TIMED_QUALITY = 4
_SEED = 0  # of the held-out crops


class Judgement(NamedTuple):
    """What a variant reaches on the held-out batches at task share 1; one entry a batch, [N].

    Attributes:
        loss: of the task, without rate.
        with_rate: the same and what the bits cost.
        psnr: dB, a mean over pictures.
        task: distance of the network's answer from the one on the original.
        bpp: estimated, of y and z.
    """

    loss: tuple[float, ...]
    with_rate: tuple[float, ...]
    psnr: tuple[float, ...]
    task: tuple[float, ...]
    bpp: tuple[float, ...]


class Cost(NamedTuple):
    """What decoding the task costs.

    Attributes:
        synthesis: thousands of multiply-accumulates per pixel of g_s alone.
        decoding: the same of all that a decoder computes: hyper-synthesis, context, g_s.
        milliseconds: of the processor, for g_s on TIMED_WIDTH x TIMED_HEIGHT pixels, the best of the rounds.
    """

    synthesis: float
    decoding: float
    milliseconds: float


def generator() -> np.random.Generator:
    """Return the generator that held-out crops are drawn with, at its beginning."""
    return np.random.default_rng(_SEED)


def held_out(pictures: PictureSet, recipe: SideRecipe, batches: int) -> list[Batch]:
    """Return batches of one crop at each of the eight levels, always the same for a folder and a recipe."""
    random = generator()
    code = torch.arange(LEVELS) * QUALITY_STEPS
    side = max(phase.crop for phase in recipe.phases)
    return [Batch(pictures.upright_crops(random, LEVELS, side, recipe.zoom_out), code) for _ in range(batches)]


def judging_terms(recipe: SideRecipe, device: torch.device, rate_weights: Sequence[float]) -> SideLossTerms:
    """Return the task's loss with every term counted, whatever training leaves out at some steps."""
    loss = recipe.loss.model_copy(update={"perceptual_every": 1})
    return SideLossTerms(recipe.model_copy(update={"loss": loss}), device, rate_weights)


@torch.no_grad()
def judge(
    paradigm: Paradigm, batches: Sequence[Batch], terms: SideLossTerms, recipe: SideRecipe, device: torch.device
) -> Judgement:
    """Measure a variant where it stands; the state of torch's generator is left as it was."""
    rows = []
    with torch.random.fork_rng(devices=[]), paradigm.serving():
        rate = RateModel(paradigm.model.config).to(device)
        for number, batch in enumerate(batches):
            torch.manual_seed(number)  # of the noise that stands for rounding in the estimate of the rate
            x, code = (tensor.to(device) for tensor in batch)
            bits = StepBits(rate)
            latents = paradigm.latents(x, code, bits)
            x_hat = paradigm.paint(latents.y_hat, code, all_side(recipe.path, device)).float()
            bpp = (bits.bits + paradigm.hyper_rate(latents.z, code)) / x[0, ..., 0].numel()
            routing = all_side(recipe.path, device)
            random = np.random.default_rng((_SEED, number))
            scored = terms(SidePicture(x_hat, routing, Trace([], [])), x, code, random, 0)
            loss = float(scored.loss)
            paid = loss + float(rate_loss(bpp, code, recipe, paradigm.model.config.rate_weights))
            rows.append((loss, paid, scored.psnr, scored.task, float(bpp.mean())))
    return Judgement(*zip(*rows, strict=True))


def _latents(paradigm: Paradigm, x: Tensor) -> tuple[Tensor, Tensor]:
    code = torch.tensor([(_TIMED_QUALITY - 1) * QUALITY_STEPS])
    return paradigm.latents(x, code).y_hat, code


@torch.no_grad()
def synthesis_kilomacs(paradigm: Paradigm, path: str, picture: Tensor) -> float:
    """Return thousands of multiply-accumulates per pixel of the task's synthesis, once the task is loaded.

    Args:
        paradigm: on the CPU.
        path: whose tokens all are.
        picture: a real one, float32 [1, profile.HEIGHT, profile.WIDTH, 3]: what gates choose depends on it.
    """
    y_hat, code = _latents(paradigm, picture)
    routing = all_side(path, torch.device("cpu"))
    with paradigm.serving():
        paradigm.paint(y_hat, code, routing)
        return profile.kilomacs(lambda: paradigm.paint(y_hat, code, routing))


def shared_kilomacs(paradigm: Paradigm) -> float:
    """Return the same of what comes before the synthesis: hyper-synthesis and context."""
    parts = {part.name: part.kilomacs for part in profile.parts(paradigm.model, ())}
    return parts["hyper-synthesis"] + parts["context"]


@torch.no_grad()
def latencies(paradigms: Sequence[Paradigm], path: str, picture: Tensor, rounds: int) -> list[float]:
    """Return each variant's milliseconds for g_s on TIMED_WIDTH x TIMED_HEIGHT, the best of rounds that take turns.

    They are the processor's, so that what else runs on the machine counts little; with more threads they add up.

    Args:
        paradigms: on the CPU.
        path: whose tokens all are.
        picture: float32 [1, h, w, 3], sides multiples of 64; its latents are repeated to the size that is timed.
        rounds: of one picture each; another goes before them and is not counted.
    """
    best = [float("inf")] * len(paradigms)
    routing = all_side(path, torch.device("cpu"))
    rows, columns = TIMED_HEIGHT // LATENT_PIXELS, TIMED_WIDTH // LATENT_PIXELS
    with contextlib.ExitStack() as loaded:
        works = []
        for paradigm in paradigms:
            loaded.enter_context(paradigm.serving())
            y_hat, code = _latents(paradigm, picture)
            repeats = (1, -(-rows // y_hat.shape[1]), -(-columns // y_hat.shape[2]), 1)
            works.append((paradigm, y_hat.repeat(*repeats)[:, :rows, :columns].contiguous(), code))
        for counted in range(-1, rounds):
            for number, (paradigm, y_hat, code) in enumerate(works):
                begin = time.process_time()
                paradigm.paint(y_hat, code, routing)
                if counted >= 0:
                    best[number] = min(best[number], 1000 * (time.process_time() - begin))
    return best
