"""Pictures to bitstreams: strip by strip through the analysis and the coder, to a quality or to a budget."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from manypath import bitstream as container
from manypath import budget
from manypath.bitstream import Bitstream
from manypath.coding import SymbolCoder
from manypath.entropy.coder import Checksum
from manypath.errors import BudgetError
from manypath.geometry import LATENT_PIXELS, WINDOW_PIXELS, ceil_div
from manypath.image import Image
from manypath.inspection import ScoreMap, ScoreMaps
from manypath.multipath.routing import Trace
from manypath.network import Network
from manypath.rate import Rate
from manypath.strips import Strip, cut, strips_of
from manypath.timings import StageTimings
from manypath.transfers import to_device

ROOM_BYTES = 64  # for header, table and checksums of a picture of any size
KEPT_STRIPS = 8  # whose latents a search for a budget keeps, 13 MB each for 192 channels


class PictureEncoder:
    """Encodes with one model.

    Args:
        model: frozen.
        coder: of the model.
        digest: 4 bytes that name the model in its streams.
    """

    def __init__(self, model: Network, coder: SymbolCoder, digest: bytes) -> None:
        self._model = model
        self._coder = coder
        self._digest = digest
        self._reach = model.reaches[0]

    def encode(self, images: Sequence[Image], rate: Rate, timings: StageTimings) -> list[bytes]:
        """Encode checked pictures; those of one size share the networks' passes.

        A picture that is mostly padding could take more bytes than its raw samples. It then gets the best quality that
        takes no more, which its header says.

        Raises:
            BudgetError: a picture does not fit its budget at any quality.
        """
        if rate.is_budget:
            return [self._within(rate.bytes_for(image.shape[1], image.shape[0]), image, timings) for image in images]
        streams: dict[int, bytes] = {}
        for group in _by_size(images).values():
            encoded = self.encode_group([images[i] for i in group], rate.quality_code, timings)
            streams.update(zip(group, encoded, strict=True))
        return [self._within_samples(image, streams[number], timings) for number, image in enumerate(images)]

    def _within(self, most: int, image: Image, timings: StageTimings) -> bytes:
        """Encode a picture to a budget, which for a thin picture is no more than its samples if any quality is."""
        samples = image.size + ROOM_BYTES
        if samples < most and min(image.shape[:2]) < WINDOW_PIXELS:
            try:
                return self._encode_to(samples, image, timings)
            except BudgetError:
                pass  # a picture of some pixels
        return self._encode_to(most, image, timings)

    def _within_samples(self, image: Image, stream: bytes, timings: StageTimings) -> bytes:
        """Return a stream, or for a thin picture a smaller one, that takes no more bytes than the picture's samples."""
        most = image.size + ROOM_BYTES
        if len(stream) <= most or min(image.shape[:2]) >= WINDOW_PIXELS:
            return stream
        try:
            return self._encode_to(most, image, timings)
        except BudgetError:  # no quality does: a picture of some pixels
            return stream

    def _encode_to(self, most: int, image: Image, timings: StageTimings) -> bytes:
        """Encode a picture to at most so many bytes."""
        analysed: list[int] = []
        kept: dict[int, Tensor] = {}

        def encode(code: int) -> bytes:
            if not analysed or not budget.serves(analysed[-1], code):
                analysed.append(code)
                kept.clear()
            return self.encode_group([image], code, timings, kept, analysed[-1])[0]

        return budget.fit(encode, most, budget.first_code(image, most))

    def encode_group(
        self,
        images: Sequence[Image],
        code: int,
        timings: StageTimings,
        kept: dict[int, Tensor] | None = None,
        analysed: int | None = None,
    ) -> list[bytes]:
        """Encode pictures of one size.

        Args:
            images: of one size.
            code: quality code.
            timings: added to.
            kept: latents by a strip's first row: taken if there, else put there, the first strips' alone.
            analysed: quality code of these latents, if it is another.
        """
        height, width = images[0].shape[:2]
        codes = self._model.codes(code)
        own_codes = codes if analysed is None else self._model.codes(analysed)
        checksums = [Checksum() for _ in images]
        chunks: list[list[tuple[bytes, ...]]] = [[] for _ in images]
        for strip in strips_of(width, height, self._reach):
            y = None if kept is None else kept.get(strip.top)
            if y is None:
                with timings.measure("analysis"):
                    y = self.analyse(images, strip, own_codes)
                if kept is not None and len(kept) < KEPT_STRIPS:
                    kept[strip.top] = y
            with timings.measure("entropy_parameters"):
                seen = (ceil_div(min(strip.bottom, height) - strip.top, LATENT_PIXELS), ceil_div(width, LATENT_PIXELS))
                coded = self._coder.encode(y, codes, checksums, timings, seen)
            for own, new in zip(chunks, coded, strict=True):
                own.append(new)
        return [
            container.pack(Bitstream(width, height, code, self._digest, checksum.value, tuple(own)))
            for own, checksum in zip(chunks, checksums, strict=True)
        ]

    def analyse(self, images: Sequence[Image], strip: Strip, code: Tensor, trace: Trace | None = None) -> Tensor:
        """Return y, float32 [B, h, w, M], of a strip."""
        x = to_device(cut(images, strip), code.device)
        y: Tensor = self._model.g_a(x, code, self._model.analysis_routing(code, exact=True), trace)
        return strip.within(y.float())

    def scores(self, image: Image, code: int) -> tuple[ScoreMap, ...]:
        """Return the analysis' score maps of a checked picture, one a group: high wants the high-quality path."""
        height, width = image.shape[:2]
        maps = ScoreMaps(height, width)
        for strip in strips_of(width, height, self._reach):
            trace = Trace([], [])
            self.analyse([image], strip, self._model.codes(code), trace)
            maps.add(trace, strip)
        return maps.done()


def _by_size(images: Sequence[Image]) -> dict[tuple[int, ...], list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        groups.setdefault(image.shape, []).append(number)
    return groups
