"""Workers' answers as the messages of ``codec.proto``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from manypath_api.v1 import codec_pb2 as pb
from manypath_services.codec.messages import png_file
from manypath_services.inference.client import ClassMap, Label, Output
from manypath_services.inference.detection import BoxFound
from manypath_services.inference.tensors import write_raw

Image = npt.NDArray[np.uint8]

_TINT = 0.55  # share of the class's colour in an overlay


def classification(labels: Sequence[Label]) -> pb.Classification:
    """Return a classifier's answer."""
    return pb.Classification(
        labels=[pb.Label(index=label.index, name=label.name, score=label.score) for label in labels]
    )


def segmentation(found: ClassMap, image: Image, *, raw: bool, overlay: bool) -> pb.Segmentation:
    """Return a segmenter's answer.

    Args:
        found: the class of each pixel of ``image``.
        image: that the segmenter was shown, uint8 [H, W, 3].
        raw: the mask travels uncompressed.
        overlay: it comes as a picture, too.
    """
    height, width = found.indexes.shape
    counts = np.bincount(found.indexes.ravel(), minlength=len(found.names))
    colours = class_colours(len(counts))
    colours[: len(found.colours)] = found.colours[: len(counts)]
    mask = pb.Mask(width=width, height=height)
    if raw:
        mask.raw = found.indexes.tobytes()
    else:
        mask.png = png_file(found.indexes)
    return pb.Segmentation(
        mask=mask,
        classes=[
            pb.SegmentClass(
                index=index,
                name=found.names[index] if index < len(found.names) else "",
                share=int(count) / found.indexes.size,
                colour=int.from_bytes(colours[index].tobytes()),
            )
            for index, count in enumerate(counts)
            if count or index < len(found.names)
        ],
        overlay=png_file(tinted(image, colours[found.indexes])) if overlay else b"",
    )


def detection(found: Sequence[BoxFound], image: Image, *, overlay: bool) -> pb.Detection:
    """Return a detector's answer.

    Args:
        found: best first.
        image: that the detector was shown, uint8 [H, W, 3].
        overlay: the picture comes with its boxes, too.
    """
    boxes = [
        pb.Box(
            **dict(zip(("left", "top", "right", "bottom"), box.corners, strict=True)),
            index=box.index,
            name=box.name,
            score=box.score,
        )
        for box in found
    ]
    return pb.Detection(boxes=boxes, overlay=png_file(with_boxes(image, found)) if overlay else b"")


def with_boxes(image: Image, found: Sequence[BoxFound]) -> Image:
    """Return a picture, uint8 [H, W, 3], with boxes, names and scores drawn in; the best box lies on top."""
    height, width = image.shape[:2]
    picture = PillowImage.fromarray(image)
    draw = ImageDraw.Draw(picture)
    line = max(1, min(height, width) // 200)
    font = ImageFont.load_default(max(9, min(height, width) // 30))
    colours = 128 + class_colours(256) // 2  # light enough for black letters
    for box in reversed(found):
        colour = tuple(colours[1 + box.index % 255].tolist())
        draw.rectangle(box.corners, outline=colour, width=line)
        text = f"{box.name or box.index} {box.score:.2f}"
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        x = min(max(0.0, box.corners[0]), max(0.0, width - right))
        y = max(0.0, box.corners[1] - bottom)
        draw.rectangle((x + left, y + top, x + right, y + bottom), fill=colour)
        draw.text((x, y), text, fill="black", font=font)
    return np.asarray(picture)


def tensors(outputs: Mapping[str, Output]) -> pb.Tensors:
    """Return the outputs of any other network."""
    return pb.Tensors(
        tensors=[
            pb.Tensor(name=name, datatype=output.datatype, shape=output.array.shape, data=write_raw(output.array))
            for name, output in outputs.items()
        ]
    )


def tinted(image: Image, colours: Image) -> Image:
    """Return a picture with a colour laid over each pixel, both uint8 [H, W, 3]."""
    grey = image.mean(axis=2, keepdims=True, dtype=np.float32)  # the picture's own colours would mix with the classes'
    return np.asarray(np.rint((1 - _TINT) * grey + _TINT * colours), dtype=np.uint8)


def class_colours(classes: int) -> Image:
    """Return a colour for each class of a segmenter that has none, uint8 [classes, 3].

    The bits of the index are dealt out to the three channels, highest first: neighbours differ much (as the masks
    of Pascal VOC have it). Class 0 is black.
    """
    index = np.arange(classes)
    colours = np.zeros((classes, 3), np.int64)
    for position in range(8):
        colours[:, position % 3] |= ((index >> position) & 1) << (7 - position // 3)
    return colours.astype(np.uint8)
