"""What can be laid over a picture: score maps, where the bits went, a segmenter's mask, a detector's boxes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from manypath_api.v1 import codec_pb2 as pb
from manypath_pictures.reader import read_indexes
from manypath_services.console.choices import Choices
from manypath_services.console.gallery import KeptPicture
from manypath_services.console.pages import Parts
from manypath_services.console.pictures import heat_layer, mask_layer
from manypath_services.console.problems import ProblemError

BOX_COLOURS = ("#ffd166", "#06d6a0", "#8ecaff", "#ff9ecb", "#f4845f", "#c6f68d", "#d3b5ff", "#ffffff")
_SCORE_PIXELS = 8  # that one sample of a score map stands for
_BIT_PIXELS = 16  # of a bit map


async def layer_file(parts: Parts, picture: KeptPicture, choices: Choices) -> tuple[bytes, str]:
    """Return a layer as a file, and its media type.

    Raises:
        ProblemError: there is no such layer of this picture.
    """
    kind, _, place = choices.layer.partition("-")
    if kind == "score":
        made = await parts.renditions.rendition(picture, choices.rate, choices.path, choices.share)
        if int(place) not in range(1, len(made.score_maps) + 1):
            raise ProblemError("This path has no such score map.", cure="Choose another path or layer.", status=404)
        return await asyncio.to_thread(_score_layer, made.score_maps[int(place) - 1], picture), "image/png"
    if kind == "bits":
        bits = (await parts.renditions.bits(picture, choices.rate)).bits
        return await asyncio.to_thread(_bits_layer, bits, picture), "image/png"
    if kind == "mask":
        found = (await _result(parts, picture, choices, "segmentation")).segmentation
        colours = {one.index: one.colour for one in found.classes}
        return await asyncio.to_thread(mask_layer, found.mask.png, colours), "image/png"
    if kind == "boxes":
        boxes = (await _result(parts, picture, choices, "detection")).detection.boxes
        return _boxes_layer(boxes, picture).encode(), "image/svg+xml"
    raise ProblemError("There is no such layer.", cure="Choose one of the layers on the page.", status=404)


async def _result(parts: Parts, picture: KeptPicture, choices: Choices, answer: str) -> pb.TaskResult:
    tasks: Sequence[str] = (await parts.services.decoder_capabilities()).task_names
    found = await parts.renditions.answers(picture, choices.rate, list(tasks), choices.share)
    for result in found.results:
        if result.WhichOneof("answer") == answer:
            return result
    raise ProblemError(
        f"No worker for {answer} looks at the pictures.", cure=f"Give the decoder one for {answer}.", status=404
    )


def _boxes_layer(boxes: Sequence[pb.Box], picture: KeptPicture) -> str:
    """Return a detector's boxes as an SVG file in the picture's pixels, each with its class and score."""
    text = max(10.0, picture.width / 55)
    marks = []
    for box in boxes:
        colour = BOX_COLOURS[box.index % len(BOX_COLOURS)]
        words = escape(f"{box.name or box.index} {box.score:.0%}")
        left, top = f"{box.left:.1f}", f"{max(box.top, text * 1.3):.1f}"
        marks.append(
            f'<rect x="{box.left:.1f}" y="{box.top:.1f}" width="{box.right - box.left:.1f}" '
            f'height="{box.bottom - box.top:.1f}" fill="none" stroke="{colour}" stroke-width="{text / 6:.1f}"/>'
            f'<text x="{left}" y="{top}" dy="{-text / 3:.1f}" fill="{colour}" stroke="#000" '
            f'stroke-width="{text / 5:.1f}" paint-order="stroke">{words}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.width} {picture.height}" '
        f'font-family="sans-serif" font-weight="600" font-size="{text:.1f}">{"".join(marks)}</svg>'
    )


def _score_layer(file: bytes, picture: KeptPicture) -> bytes:
    """Return scores by rank: which tokens take the side path is decided by their order, not by their distance."""
    scores = read_indexes(file)
    below = np.cumsum(np.bincount(scores.ravel(), minlength=256)).astype(np.float32) / scores.size
    return heat_layer(_enlarged(below[scores], _SCORE_PIXELS, picture))


def _bits_layer(bits: npt.NDArray[np.float32], picture: KeptPicture) -> bytes:
    """Return bits on a scale of logarithms: the busiest squares take hundreds of times those of a clear sky."""
    low, high = (float(value) for value in np.percentile(bits, (1.0, 99.5)))
    low = max(low, 1e-2)
    scale = np.log(max(high, 2 * low) / low)
    return heat_layer(_enlarged(np.log(np.maximum(bits, low) / low) / scale, _BIT_PIXELS, picture))


def _enlarged(samples: npt.NDArray[np.float32], pixels: int, picture: KeptPicture) -> npt.NDArray[np.float32]:
    """Return a map in the size of the picture, each sample a square."""
    large = samples.repeat(pixels, axis=0).repeat(pixels, axis=1)
    return large[: picture.height, : picture.width]
