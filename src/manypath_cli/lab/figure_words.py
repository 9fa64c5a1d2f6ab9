"""What the help of ``manypath lab figure`` says of each figure."""

from __future__ import annotations

from typing import NamedTuple

DESCRIPTION = """\
Draw what the codec does. Each figure is a PNG, 1920 pixels wide, that reads without a caption; the figures behind it
lie beside it under the same name, as JSON and, where there are tables or maps, as CSV or NPZ.
"""

EXAMPLES = """\
examples:
  manypath lab figure paths --picture photo.png --quality 2
  manypath lab figure paths --picture street.png --masks --output street-paths.png
  manypath lab figure scores --picture photo.png --model four-paths.safetensors
  manypath lab figure transition --picture photo.png --path classification
  manypath lab figure curves --run runs/kodak --run runs/machines
"""


class Words(NamedTuple):
    """One figure's help.

    Attributes:
        summary: one line for the list of figures.
        description: some lines.
        example: a command.
    """

    summary: str
    description: str
    example: str


KINDS = {
    "paths": Words(
        "the original and what each path makes of one stream",
        """\
The original and what each path of the model makes of one stream: rate, PSNR, a detail enlarged where the paths differ
most, the classifier's five likeliest classes and, with --masks, the segmenter's answer drawn over each.
""",
        "manypath lab figure paths --picture photo.png --quality 2 --output paths.png",
    ),
    "people": Words(
        "details of several pictures, as people would compare them: original, main path, path for people, AVIF",
        """\
Details of twelve pictures of a folder, each where our two paths for people differ most: the original, the main path and
the perceptual path of one stream, and AVIF (or another baseline) of no more bytes.
""",
        "manypath lab figure people --pictures cid22-val --quality 2 --output people.png",
    ),
    "boxes": Words(
        "what a detector finds in the original, on our paths and in a JPEG of the same bytes",
        """\
The boxes of the shipped object detector on the original, on the main path and the detection path of one stream, and on
the best JPEG (or another baseline) of no more bytes: those kept, those missed and those that are not on the original.
""",
        "manypath lab figure boxes --picture street.jpg --quality 2 --output boxes.png",
    ),
    "scores": Words(
        "what each stage of encoder and decoder finds important",
        """\
The predictors' importance maps, stage by stage, from 0 (black) to 1 (white): the encoder's as they are, white where
the high-quality path is wanted; the decoder's inverted, white where a side path is wanted.
""",
        "manypath lab figure scores --picture photo.png --path classification --path segmentation",
    ),
    "bits": Words(
        "where the bits go, at several qualities on one scale",
        """\
Bits per pixel of each square of 16x16 pixels, at several qualities on one common scale. They are ideal code lengths:
their sum is the stream's size but for its header and what the coder rounds up.
""",
        "manypath lab figure bits --picture photo.png --qualities 1,4,8",
    ),
    "fullgrad": Words(
        "where the classifier looks, on each reconstruction",
        """\
FullGrad of EfficientNet-Lite0, by the library grad-cam, over the original and over each reconstruction, as the
classifier sees them: the central square. Explained is its answer on the original, or --class.
""",
        "manypath lab figure fullgrad --picture photo.png --quality 1 --path perceptual --path classification",
    ),
    "transition": Words(
        "from perceptual to a task's path, without another bit",
        """\
One stream decoded at several task shares between the main path and one side path, with PSNR and the classifier's
confidence in its answer on the original below.
""",
        "manypath lab figure transition --picture photo.png --path classification --steps 7",
    ),
    "rate": Words(
        "how much takes the high-quality path, and what it costs",
        """\
The share of tokens on the analysis' high-quality path over quality, and the bits per pixel over that share, for each
picture of a folder and on average.
""",
        "manypath lab figure rate --pictures kodak --limit 8",
    ),
    "curves": Words(
        "fidelity, perception and machines' answers over rate",
        """\
What `manypath lab eval compare` measured, on one sheet: PSNR, perceptual distance, classification and segmentation
over bits per pixel, our paths beside the other codecs. Draws what the given folders hold.
""",
        "manypath lab figure curves --run runs/kodak --run runs/machines --output curves.png",
    ),
}
