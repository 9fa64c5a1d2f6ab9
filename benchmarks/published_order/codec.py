"""The published network's way through a picture: what it computes, in the order and with the copies that it makes.

Described in our words from the published operations: tokens are sorted and gathered at every share, also at 0 and 1;
pictures change between channels first and channels last around each stage; the context model runs every pass on the
whole grid; symbols, scale indexes and the coder's tables travel as Python lists. Natten's kernels are not for CPUs, so
attention is tiled: by ``gathered_attention``, or by the project's own, where all else shall be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.published_order.attention import gathered_attention
from benchmarks.published_order.context import PublishedContext
from manypath.aggregation import NormedMLP, PicturePredictor
from manypath.config import QUALITY_STEPS
from manypath.entropy._compressai import import_ans, import_compressai
from manypath.entropy.context import Step
from manypath.entropy.multistage import scale_table
from manypath.gain import main_share, quality_to_code
from manypath.mixers import NeighbourhoodMixer
from manypath.model import MPAModel
from manypath.pyramid import PyramidAnalysis, PyramidHyperAnalysis, PyramidHyperSynthesis, PyramidSynthesis
from manypath.transforms import LOW, Block, Group

Attention = Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]


class Encoded(NamedTuple):
    """A coded picture.

    Attributes:
        latent: the latent's string.
        hyper: the hyper-latent's symbols, [1, h, w, K]; its own string is the same work in either order.
        code: quality code, int64 [1].
    """

    latent: bytes
    hyper: Tensor
    code: Tensor


class _Split(NamedTuple):
    """Which tokens take the main path and which the side's: int64 [B, n] each."""

    side: str
    main: Tensor
    other: Tensor


class PublishedOrder:
    """The published order of operations on a model's weights, for one picture at a time on the CPU.

    Args:
        model: of the published family.
        attention: takes query, key, value [B, h, w, heads, d], bias and window.

    Attributes:
        seconds: per stage of the last call: ``analysis``, ``entropy``, ``synthesis``.
        y: what the last encoding's analysis made, [1, M, h, w].
        y_hat: what the last decoding read, [1, M, h, w], in the gained domain.
    """

    def __init__(self, model: MPAModel, attention: Attention = gathered_attention) -> None:
        import_compressai()
        from compressai.entropy_models import GaussianConditional

        self.model = model
        self.attention = attention
        self.context = PublishedContext(model)
        self.seconds: dict[str, float] = {}
        self.y = self.y_hat = torch.empty(0)
        self._gaussian = GaussianConditional(scale_table())
        self._gaussian.update()
        self._ans = import_ans()

    # -- transforms -------------------------------------------------------------------------------------------

    def _group(self, x: Tensor, group: nn.Module, code: Tensor, side: str, share: float) -> Tensor:
        """One stage on [B, C, H, W]; ``side`` is empty where there is one path."""
        assert isinstance(group, Group)  # for the type checker
        skip = x
        x = x.permute(0, 2, 3, 1).contiguous()
        split = None
        if side:
            predictor = group.predictors[side]
            assert isinstance(predictor, PicturePredictor)
            scores = torch.sigmoid(predictor(x)).flatten(1)
            order = torch.argsort(scores, dim=1, descending=True)
            count = int(scores.shape[1] * share)
            split = _Split(side, order[:, :count], order[:, count:])
        for block in group.blocks:
            assert isinstance(block, Block)
            x = self._mix(x, block, code)
            x = _multiply(x, block, code, split)
        return x.permute(0, 3, 1, 2).contiguous() + skip

    def _mix(self, x: Tensor, block: Block, code: Tensor) -> Tensor:
        """A block's first half on [B, H, W, C]."""
        mixer = block.mixer
        assert isinstance(mixer, NeighbourhoodMixer)
        b, h, w, c = x.shape
        query, key, value = mixer.qkv(mixer.norm(x)).view(b, h, w, 3, -1, mixer.head).unbind(3)
        attended = self.attention(query, key, value, mixer.bias, mixer.window).reshape(b, h, w, c)
        out: Tensor = x + block.mixer_gain(code) * mixer.project(attended)
        return out

    def _analysis(self, x: Tensor, code: Tensor) -> Tensor:
        g_a = self.model.g_a
        assert isinstance(g_a, PyramidAnalysis)
        share = float(main_share(1.0 + code.double() / QUALITY_STEPS))
        for down, group, side in zip(g_a.downs, (*g_a.groups, g_a.coarse), (LOW, LOW, LOW, ""), strict=True):
            x = self._group(down(x), group, code, side, share)
        return x

    def _hyper_analysis(self, y: Tensor, code: Tensor) -> Tensor:
        h_a = self.model.h_a
        assert isinstance(h_a, PyramidHyperAnalysis)
        x = y * self.model.gain(code)[:, :, None, None]
        for down, group in zip(h_a.downs, h_a.groups, strict=True):
            x = self._group(down(x), group, code, "", 1.0)
        out: Tensor = x * self.model.hyper_gain(code)[:, :, None, None]
        return out

    def _features(self, symbols: Tensor, code: Tensor) -> Tensor:
        h_s = self.model.h_s
        assert isinstance(h_s, PyramidHyperSynthesis)
        x: Tensor = (
            ((symbols + h_s.prior.medians) * h_s.input_gain(code)[:, None, None]).permute(0, 3, 1, 2).contiguous()
        )
        for group, up in zip(h_s.groups, h_s.ups, strict=True):
            x = up(self._group(x, group, code, "", 1.0))
        return x

    def _synthesis(self, y_hat: Tensor, code: Tensor, path: str, share: float) -> Tensor:
        g_s = self.model.g_s
        assert isinstance(g_s, PyramidSynthesis)
        x: Tensor = y_hat * self.model.inverse_gain(code)[:, :, None, None]
        x = g_s.ups[0](self._group(x, g_s.coarse, code, "", 1.0))
        for group, up in zip(g_s.groups, list(g_s.ups)[1:], strict=True):
            x = up(self._group(x, group, code, path, share))
        return x

    # -- coding -----------------------------------------------------------------------------------------------

    def _tables(self) -> tuple[list[list[int]], list[int], list[int]]:
        """Return the coder's tables as lists, which each of its calls reads anew."""
        gaussian = self._gaussian
        return gaussian.quantized_cdf.tolist(), gaussian.cdf_length.tolist(), gaussian.offset.tolist()

    @torch.no_grad()
    def encode(self, image: Tensor, quality: float) -> Encoded:
        """Encode float32 [1, 3, H, W] in [0, 1], sides multiples of 64."""
        code = torch.tensor([quality_to_code(quality)])
        begun = perf_counter()
        y = self._analysis(image, code)
        analysed = perf_counter()
        hyper = self.model.h_s.symbols(self._hyper_analysis(y, code).permute(0, 2, 3, 1))
        features = self._features(hyper, code)
        gained = (y * self.model.gain(code)[:, :, None, None]).permute(0, 2, 3, 1).flatten(1, 2)
        encoder, tables = self._ans.BufferedRansEncoder(), self._tables()

        def visit(step: Step, where: Tensor, scales: Tensor, means: Tensor) -> Tensor:
            own = gained[:, where, step.start : step.start + step.width]
            symbols = torch.round(own - means)
            indexes = self._gaussian.build_indexes(scales)
            encoder.encode_with_indexes(symbols.int().flatten().tolist(), indexes.int().flatten().tolist(), *tables)
            return symbols + means

        self.context.walk(features, visit)
        string = encoder.flush()
        self.y = y
        self.seconds = {"analysis": analysed - begun, "entropy": perf_counter() - analysed}
        return Encoded(string, hyper, code)

    @torch.no_grad()
    def decode(self, encoded: Encoded, path: str = "", share: float = 1.0) -> Tensor:
        """Decode to float32 [1, 3, H, W].

        Args:
            encoded: from ``encode``.
            path: a side path, or empty for a network without.
            share: of tokens on the main path.
        """
        begun = perf_counter()
        features = self._features(encoded.hyper, encoded.code)
        decoder: Any = self._ans.RansDecoder()
        decoder.set_stream(encoded.latent)
        tables = self._tables()

        def visit(step: Step, where: Tensor, scales: Tensor, means: Tensor) -> Tensor:
            indexes = self._gaussian.build_indexes(scales)
            found = decoder.decode_stream(indexes.int().flatten().tolist(), *tables)
            return torch.tensor(found, dtype=torch.float32).view(1, len(where), step.width) + means

        y_hat = self.context.walk(features, visit)
        walked = perf_counter()
        x_hat = self._synthesis(y_hat, encoded.code, path, share)
        self.y_hat = y_hat
        self.seconds = {"entropy": walked - begun, "synthesis": perf_counter() - walked}
        return x_hat


def _mlp(mlp: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(mlp, NormedMLP)
    out: Tensor = mlp.project(F.gelu(mlp.expand(mlp.norm(x))))
    return out


def _multiply(x: Tensor, block: Block, code: Tensor, split: _Split | None) -> Tensor:
    """A block's second half on [B, H, W, C]."""
    gain = block.mlp_gain(code)
    if split is None:
        out: Tensor = x + gain * _mlp(block.main_mlp, x)
        return out
    b, h, w, c = x.shape
    tokens = x.view(b, h * w, c)
    added = torch.zeros_like(tokens)
    batch = torch.arange(b)[:, None]
    for mlp, index in ((block.main_mlp, split.main), (block.side_mlps[split.side], split.other)):
        added[batch, index] = gain * _mlp(mlp, tokens[batch, index])
    return x + added.view(b, h, w, c)
