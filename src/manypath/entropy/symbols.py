"""Latents to chunks and back: the encode and decode visitors of the context schedule, for a batch of one band."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from manypath.entropy.coder import Checksum, ChunkDecoder, ChunkEncoder, Escapes, Rows, Symbols
from manypath.entropy.context import Step
from manypath.entropy.tables import Tables
from manypath.errors import FormatError
from manypath.model import MPAModel

Chunks = tuple[bytes, ...]
Listener = Callable[[Step, Tensor, Symbols, Symbols], None]
"""(step, positions [P], symbols int32 [B, P, width], scale indexes int32 [B, P, width])."""


class Clock:
    """Seconds spent in the coder, to tell them from the networks'."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._since


def _flat(x: Tensor) -> Symbols:
    return x.to(torch.int32).cpu().numpy().reshape(-1)


class SymbolCoder:
    """Codes the latents of one model.

    A band's chunks are the hyper-latent, one per slice, and the escapes.

    Args:
        model: frozen.
        latent_tables: one table per scale index.
        hyper_tables: one table per hyper-latent channel.
    """

    def __init__(self, model: MPAModel, latent_tables: Tables, hyper_tables: Tables) -> None:
        self._model = model
        self._latent = Rows(latent_tables, skip=model.context.SKIPS)
        self._hyper = Rows(hyper_tables, skip=False)
        self.slices = len(model.config.slices)
        self.chunks = self.slices + 2

    def _hyper_rows(self, positions: int) -> Symbols:
        return np.tile(np.arange(self._model.config.hyper_channels, dtype=np.int32), positions)

    def encode(self, y: Tensor, code: Tensor, checksums: Sequence[Checksum], clock: Clock) -> list[Chunks]:
        """Write the latents of a batch.

        Args:
            y: float32 [B, h, w, M], before the gain, h and w multiples of 4.
            code: quality codes, int64 [B].
            checksums: one per sample, extended.
            clock: told the seconds spent coding.

        Returns:
            Each sample's chunks.
        """
        model = self._model
        b = y.shape[0]
        if b > 1 and not model.exact:  # floats of a batch may differ from those of one, and the reader has one
            codes = code.expand(b)
            return [self.encode(y[i : i + 1], codes[i : i + 1], checksums[i : i + 1], clock)[0] for i in range(b)]
        escapes = [Escapes() for _ in range(b)]
        z = model.h_s.symbols(model.hyper_latent(y, code))
        hyper: list[bytes] = []
        rows = self._hyper_rows(z.shape[1] * z.shape[2])
        with clock:
            for i in range(b):
                encoder = ChunkEncoder(escapes[i], checksums[i])
                encoder.push(_flat(z[i]), self._hyper, rows)
                hyper.append(encoder.finish())
        features = model.h_s(z, code)
        gained = (y * model.gain(code)[:, None, None]).flatten(1, 2)
        encoders: list[list[ChunkEncoder]] = []

        def visit(step: Step, where: Tensor, means: Tensor, indexes: Tensor) -> Tensor:
            own = torch.round(gained[:, where, step.start : step.start + step.width] - means)
            if step.stage == 0:
                encoders.append([ChunkEncoder(escapes[i], checksums[i]) for i in range(b)])
            with clock:
                seen = [encoders[step.slice][i].push(_flat(own[i]), self._latent, _flat(indexes[i])) for i in range(b)]
            return means + torch.from_numpy(np.stack(seen)).to(means).view(means.shape)

        model.context.walk(features, code, visit)
        with clock:
            return [(hyper[i], *(own[i].finish() for own in encoders), escapes[i].finish()) for i in range(b)]

    def decode(
        self,
        chunks: Sequence[Chunks],
        code: Tensor,
        grid: tuple[int, int],
        *,
        checksums: Sequence[Checksum],
        clock: Clock,
        present: int | None = None,
        listen: Listener | None = None,
    ) -> Tensor:
        """Read the latents of a batch: float32 [B, h, w, M], in the gained domain.

        Args:
            chunks: each sample's.
            code: quality codes, int64 [B].
            grid: h and w of the latent.
            checksums: one per sample, extended.
            clock: told the seconds spent coding.
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
                        clock=clock,
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
        rows = self._hyper_rows(z_shape[0] * z_shape[1])
        with clock:
            read = [
                ChunkDecoder(chunks[i][0], escapes[i], checksums[i], len(rows)).pull(self._hyper, rows)
                for i in range(b)
            ]
        z = torch.from_numpy(np.stack(read)).to(code.device).float().view(b, *z_shape)
        if float(z.abs().max()) > model.h_s.BOUND:
            raise FormatError(f"a hyper-latent symbol exceeds {model.h_s.BOUND}")
        features = model.h_s(z, code)
        decoders: list[ChunkDecoder] = []

        def visit(step: Step, where: Tensor, means: Tensor, indexes: Tensor) -> Tensor:
            if 1 + step.slice >= present:
                return means
            if step.stage == 0:
                decoders.clear()
                for i in range(b):
                    most = h * w * step.width
                    decoders.append(ChunkDecoder(chunks[i][1 + step.slice], escapes[i], checksums[i], most))
            with clock:
                seen = [decoders[i].pull(self._latent, _flat(indexes[i])) for i in range(b)]
            if listen is not None:
                listen(step, where, np.stack(seen).reshape(indexes.shape), _flat(indexes).reshape(indexes.shape))
            return means + torch.from_numpy(np.stack(seen)).to(means).view(means.shape)

        y_hat = model.context.walk(features, code, visit)
        if present == self.chunks:
            for own in escapes:
                own.check_consumed()
        return y_hat
