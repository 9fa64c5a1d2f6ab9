"""Pictures to bitstreams: strip by strip through the analysis and the coder, to a quality or to a budget."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from manypath import bitstream as container
from manypath import budget
from manypath.bitstream import Bitstream
from manypath.coding import SymbolCoder, nearest
from manypath.effort.distortion import Original
from manypath.effort.latents import PASSES, Effort
from manypath.entropy.coder import Checksum
from manypath.errors import BudgetError, EffortError
from manypath.geometry import LATENT_PIXELS, WINDOW_PIXELS, ceil_div
from manypath.image import Image, as_floats
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
        self._effort = Effort(model, coder)

    def encode(self, images: Sequence[Image], rate: Rate, timings: StageTimings) -> list[bytes]:
        """Encode checked pictures; those of one size share the networks' passes.

        A picture that is mostly padding could take more bytes than its raw samples. It then gets the best quality that
        takes no more, which its header says.

        Raises:
            BudgetError: a picture does not fit its budget at any quality.
        """
        effort = self._checked(rate.effort)
        if rate.is_budget:
            budgets = [rate.bytes_for(image.shape[1], image.shape[0]) for image in images]
            return [self._within(most, image, effort, timings) for most, image in zip(budgets, images, strict=True)]
        streams: dict[int, bytes] = {}
        for group in _by_size(images, alone=effort > 0):
            encoded = self.encode_group([images[i] for i in group], rate.quality_code, timings, effort=effort)
            streams.update(zip(group, encoded, strict=True))
        return [self._within_samples(image, streams[number], effort, timings) for number, image in enumerate(images)]

    def _within(self, most: int, image: Image, effort: int, timings: StageTimings) -> bytes:
        """Encode a picture to a budget, which for a thin picture is no more than its samples if any quality is."""
        samples = image.size + ROOM_BYTES
        if samples < most and min(image.shape[:2]) < WINDOW_PIXELS:
            try:
                return self._encode_to(samples, image, effort, timings)
            except BudgetError:
                pass  # a picture of some pixels
        return self._encode_to(most, image, effort, timings)

    def _within_samples(self, image: Image, stream: bytes, effort: int, timings: StageTimings) -> bytes:
        """Return a stream, or for a thin picture a smaller one, that takes no more bytes than the picture's samples."""
        most = image.size + ROOM_BYTES
        if len(stream) <= most or min(image.shape[:2]) >= WINDOW_PIXELS:
            return stream
        try:
            return self._encode_to(most, image, effort, timings)
        except BudgetError:  # no quality does: a picture of some pixels
            return stream

    def _encode_to(self, most: int, image: Image, effort: int, timings: StageTimings) -> bytes:
        """Encode a picture to at most so many bytes."""
        analysed: list[int] = []
        kept: dict[int, Tensor] = {}

        def encode(code: int) -> bytes:
            if not analysed or not budget.serves(analysed[-1], code):
                analysed.append(code)
                kept.clear()
            return self.encode_group([image], code, timings, kept, analysed[-1], effort=effort)[0]

        return budget.fit(encode, most, budget.first_code(image, most))

    def _checked(self, effort: int) -> int:
        if effort > self._model.MOST_EFFORT:
            raise EffortError(
                f"the model {self._model.config.name!r} takes effort 0..{self._model.MOST_EFFORT}, got {effort}"
            )
        return effort

    def encode_group(
        self,
        images: Sequence[Image],
        code: int,
        timings: StageTimings,
        kept: dict[int, Tensor] | None = None,
        analysed: int | None = None,
        *,
        effort: int = 0,
    ) -> list[bytes]:
        """Encode pictures of one size.

        Args:
            images: of one size.
            code: quality code.
            timings: added to.
            kept: latents by a strip's first row: taken if there, else put there, the first strips' alone.
            analysed: quality code of these latents, if it is another.
            effort: to spend on them; above 0, of one picture.
        """
        height, width = images[0].shape[:2]
        codes = self._model.codes(code)
        own_code = code if analysed is None else analysed
        choose = self._effort.chooser(code) if effort else nearest
        checksums = [Checksum() for _ in images]
        chunks: list[list[tuple[bytes, ...]]] = [[] for _ in images]
        for strip in strips_of(width, height, self._reach):
            y = None if kept is None else kept.get(strip.top)
            if y is None:
                with timings.measure("analysis"):
                    y = self.analyse(images, strip, self._model.codes(own_code))
                if effort:
                    with timings.measure("effort"):
                        y = self._improved(y, images, strip, own_code, effort)
                if kept is not None and len(kept) < KEPT_STRIPS:
                    kept[strip.top] = y
            with timings.measure("entropy_parameters"):
                seen = (ceil_div(min(strip.bottom, height) - strip.top, LATENT_PIXELS), ceil_div(width, LATENT_PIXELS))
                coded = self._coder.encode(y, codes, checksums, timings, seen, choose=choose)
            for own, new in zip(chunks, coded, strict=True):
                own.append(new)
        return [
            container.pack(Bitstream(width, height, code, self._digest, checksum.value, tuple(own)))
            for own, checksum in zip(chunks, checksums, strict=True)
        ]

    def _improved(self, y: Tensor, images: Sequence[Image], strip: Strip, code: int, effort: int) -> Tensor:
        """Return the latents of a strip of one picture after an effort; the margins' are left as they are."""
        height, width = images[0].shape[:2]
        pixels = to_device(cut(images, strip._replace(start=strip.top, end=strip.bottom)), y.device)
        original = Original(as_floats(pixels), min(strip.bottom, height) - strip.top, width)
        return self._effort.improve(y, original, code, PASSES[effort])

    def analyse(self, images: Sequence[Image], strip: Strip, code: Tensor, trace: Trace | None = None) -> Tensor:
        """Return y, float32 [B, h, w, M], of a strip."""
        pixels = to_device(cut(images, strip), code.device)
        y = self._model.g_a.of_pixels(pixels, code, self._model.analysis_routing(code, exact=True), trace)
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


def _by_size(images: Sequence[Image], *, alone: bool) -> list[list[int]]:
    """Return the numbers of pictures that are encoded together."""
    if alone:  # gradients of a batch may differ from those of one picture, and so would its stream
        return [[number] for number in range(len(images))]
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        groups.setdefault(image.shape, []).append(number)
    return list(groups.values())
