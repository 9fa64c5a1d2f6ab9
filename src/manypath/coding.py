"""Latents to chunks and back: the encode and decode visitors of the context schedule, for a batch of one strip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from manypath.entropy.coder import Checksum, RowNumbers, Rows, StripDecoder, StripEncoder, Symbols
from manypath.entropy.escapes import SYMBOL_LIMIT, Escapes
from manypath.entropy.schedule import Step, at
from manypath.entropy.tables import Tables
from manypath.errors import FormatError
from manypath.network import Network
from manypath.timings import StageTimings
from manypath.transfers import to_device, to_host

ONE_THREAD_POSITIONS = 4096  # of the latent: 1 Mpx
Chunks = tuple[bytes, ...]
Listener = Callable[[Step, Tensor, Symbols, RowNumbers], None]
"""(step, positions [P], symbols int16 [B, P, width], scale indexes uint8 [B, P, width])."""
Chooser = Callable[[Step, Tensor, Tensor], Tensor]
"""(step, residuals [B, P, width], scale indexes float [B, P, width]) -> symbols, whole numbers as floats."""


def nearest(_: Step, residuals: Tensor, __: Tensor) -> Tensor:
    """Round to the nearest symbol, in place: a ``Chooser``."""
    return residuals.round_()


def inside(y: Tensor, seen: tuple[int, int] | None) -> Tensor | None:
    """Return float32 [1, h * w, 1], 1 where there is picture and 0 in padding; None if there is no padding."""
    if seen is None or seen == tuple(y.shape[1:3]):
        return None
    mask = y.new_zeros(1, y.shape[1], y.shape[2], 1)
    mask[:, : seen[0], : seen[1]] = 1.0
    return mask.flatten(1, 2)


class SymbolCoder:
    """Codes the latents of one model.

    A strip's chunks are the hyper-latent, one per slice, and the escapes. A scale index is also the number of its row
    of the coder's tables; the rows of the hyper-latent's channels follow.

    Args:
        model: frozen.
        latent_tables: one table per scale index.
        hyper_tables: one table per hyper-latent channel.
    """

    def __init__(self, model: Network, latent_tables: Tables, hyper_tables: Tables) -> None:
        self._model = model
        self.latent_tables = latent_tables
        self._rows = Rows([latent_tables, hyper_tables], skip=model.SKIPS)
        self.slices = len(model.config.slices)
        self.chunks = self.slices + 2

    def hyper_rows(self, positions: int, code: Tensor) -> RowNumbers:
        """Return the rows of a hyper-latent's symbols, [positions * K]; all of a batch have one quality."""
        channels = self._model.config.hyper_channels
        start = self._rows.starts[1] + self._model.hyper_table_set(int(code[0])) * channels
        rows = np.arange(start, start + channels).astype(self._rows.kind)
        return np.tile(rows, positions)

    def _indexes(self, indexes: Tensor) -> RowNumbers:
        """Return [B, P, width] as [B, P * width]."""
        narrow = indexes.to(torch.int8).view(torch.uint8)  # they are below 64, and floats become int8 five times faster
        rows: RowNumbers = to_host(narrow.flatten(1))
        return rows

    def encode(
        self,
        y: Tensor,
        code: Tensor,
        checksums: Sequence[Checksum],
        timings: StageTimings,
        seen: tuple[int, int] | None = None,
        *,
        choose: Chooser = nearest,
    ) -> list[Chunks]:
        """Write the latents of a batch.

        Args:
            y: float32 [B, h, w, M], before the gain, h and w multiples of 4.
            code: quality codes, int64 [B].
            checksums: one per sample, extended.
            timings: added to.
            seen: rows and columns of the grid that hold some of the picture, all unless given; the symbols of padding
                are zero, which costs next to nothing.
            choose: turns residuals into symbols.

        Returns:
            Each sample's chunks.
        """
        model = self._model
        b = y.shape[0]
        if b > 1 and not model.exact:  # floats of a batch may differ from those of one, and the reader has one
            codes = code.expand(b)
            return [
                self.encode(y[i : i + 1], codes[i : i + 1], checksums[i : i + 1], timings, seen, choose=choose)[0]
                for i in range(b)
            ]
        encoders = [StripEncoder(self._rows, checksum) for checksum in checksums]
        z = model.hyper_symbols(model.hyper_latent(y, code))
        rows = self.hyper_rows(z.shape[1] * z.shape[2], code)
        with timings.measure("coding"):
            for encoder, own in zip(encoders, _symbols(z), strict=True):
                encoder.push(own, rows)
                encoder.end_chunk()
        plain, gain = y.flatten(1, 2), model.gain(code)[:, None]
        skips = model.SKIPS
        held = None if model.CODES_PADDING else inside(y, seen)

        def visit(step: Step, where: Tensor, means: Tensor, indexes: Tensor) -> Tensor:
            span = slice(step.start, step.start + step.width)
            residuals = at(plain[..., span], where) * gain[..., span] - means
            symbols = choose(step, residuals, indexes).clamp_(-SYMBOL_LIMIT, SYMBOL_LIMIT)
            if skips:
                symbols.mul_(indexes.clamp_max(1.0))  # 0 where they are SKIPPED_INDEX, else 1
            if held is not None:
                symbols.mul_(at(held, where))
            with timings.measure("coding"):
                for encoder, own, numbers in zip(encoders, _symbols(symbols), self._indexes(indexes), strict=True):
                    encoder.push(own, numbers)
                    if step.stage == step.stages - 1:
                        encoder.end_chunk()
            return symbols.add_(means)

        with self._threads(z):
            model.walk(model.h_s(z, code), code, visit)
        with timings.measure("coding"):
            return [encoder.finish() for encoder in encoders]

    def decode(
        self,
        chunks: Sequence[Chunks],
        code: Tensor,
        grid: tuple[int, int],
        *,
        checksums: Sequence[Checksum],
        timings: StageTimings,
        present: int | None = None,
        listen: Listener | None = None,
    ) -> Tensor:
        """Read the latents of a batch: float32 [B, h, w, M], in the gained domain, refined for the synthesis.

        Args:
            chunks: each sample's.
            code: quality codes, int64 [B].
            grid: h and w of the latent.
            checksums: one per sample, extended.
            timings: added to.
            present: how many chunks are there (of a cut stream); slices that are not take their means.
            listen: told of each step's symbols.

        Raises:
            FormatError: a chunk cannot be what it claims.
        """
        model, config = self._model, self._model.config
        b, (h, w) = len(chunks), grid
        present = self.chunks if present is None else present
        if b > 1 and not model.exact:
            return torch.cat(
                [
                    self.decode(
                        chunks[i : i + 1],
                        code.expand(b)[i : i + 1],
                        grid,
                        checksums=checksums[i : i + 1],
                        timings=timings,
                        present=present,
                        listen=listen,
                    )
                    for i in range(b)
                ]
            )
        if present < 1:
            raise FormatError("not even the first chunk is there: nothing can be decoded")
        escapes = [Escapes(own[-1], lost=present < self.chunks) for own in chunks]
        z_shape = (h // 4, w // 4, config.hyper_channels)
        rows = self.hyper_rows(z_shape[0] * z_shape[1], code)
        most = len(rows) + h * w * config.latent_channels
        words = min(present, self.chunks - 1)
        with timings.measure("coding"):
            decoders = [
                StripDecoder(self._rows, own[:words], excess, checksum, most)
                for own, excess, checksum in zip(chunks, escapes, checksums, strict=True)
            ]
            read = _stacked([decoder.pull(rows) for decoder in decoders])
        if int(np.abs(read).max()) > model.HYPER_BOUND:
            raise FormatError(f"a hyper-latent symbol exceeds {model.HYPER_BOUND}")
        z = to_device(torch.from_numpy(read), code.device).float().view(b, *z_shape)

        def visit(step: Step, where: Tensor, means: Tensor, indexes: Tensor) -> Tensor:
            if 1 + step.slice >= present:
                return means
            with timings.measure("coding"):
                numbers = self._indexes(indexes)
                seen = _stacked([decoder.pull(own) for decoder, own in zip(decoders, numbers, strict=True)])
            if listen is not None:
                listen(step, where, seen.reshape(indexes.shape), numbers.reshape(indexes.shape))
            return to_device(torch.from_numpy(seen), means.device).view(means.shape).to(means.dtype).add_(means)

        with self._threads(z):
            features = model.h_s(z, code)
            y_hat = model.refined(model.walk(features, code, visit), features)
        if present == self.chunks:
            for own in escapes:
                own.check_consumed()
        return y_hat

    @contextmanager
    def _threads(self, z: Tensor) -> Iterator[None]:
        """Compute on one thread where that is quicker for z [B, h/4, w/4, K]; to change their number takes little."""
        threads = torch.get_num_threads()
        few = threads > 1 and 16 * z[..., 0].numel() <= self._model.ONE_THREAD_POSITIONS
        if few:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if few:
                torch.set_num_threads(threads)


def _symbols(x: Tensor) -> Symbols:
    """Return float [B, ...] of integers as int16 [B, n]."""
    flat: Symbols = to_host(x.to(torch.int16).flatten(1))
    return flat


def _stacked(samples: list[Symbols]) -> Symbols:
    """Return the symbols of a batch, int16 [B, n]; one sample's are not copied."""
    return samples[0][None] if len(samples) == 1 else np.stack(samples)
