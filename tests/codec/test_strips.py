"""Cutting a picture into strips bounds memory and shows nowhere."""

import numpy as np
import pytest

from manypath import geometry
from manypath.codec import Codec
from manypath.edge.transforms import analysis_reach, synthesis_reach
from manypath.encoding import PictureEncoder
from manypath.strips import Strip
from tests.codec.conftest import photo
from tests.codec.parts import parts


def test_strip_by_strip_equals_the_whole(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    image = photo(1400, 100)
    whole = codec.encode(image, quality=5)
    monkeypatch.setattr(geometry, "MAX_STRIP_PIXELS", 448 * 128)
    assert geometry.strip_heights(100, 1400) == (448, 448, 448, 64)
    in_strips = codec.encode(image, quality=5)
    picture = codec.decode(in_strips).astype(int)
    monkeypatch.undo()
    # The entropy part starts anew in each strip, so bytes differ; quantised latents may differ where means do.
    difference = np.abs(picture - codec.decode(whole).astype(int))
    assert len(in_strips) < 1.25 * len(whole)
    assert np.percentile(difference, 99) <= 25
    for seam in (448, 896, 1344):  # a seam would stand out from the rows around it
        step = np.abs(picture[seam] - picture[seam - 1]).mean()
        usual = np.abs(np.diff(picture[seam - 40 : seam + 40], axis=0)).mean()
        assert step < 2 * usual + 2


def test_latents_do_not_depend_on_where_a_strip_begins(codec: Codec) -> None:
    """The margin is as wide as the transforms reach, routing windows included."""
    import torch

    made = parts("tiny-random")
    encoder = PictureEncoder(made.model, made.coder, b"test")
    image = photo(1100, 128)
    code = torch.tensor([100])
    reach = analysis_reach(codec.config)
    strip = Strip(448, 512, 448 - reach, 512 + reach)
    with torch.inference_mode():
        whole = encoder.analyse([image], Strip(0, 1152, 0, 1152), code)
        part = encoder.analyse([image], strip, code)
    assert torch.allclose(whole[:, 28:32], part, atol=1e-4)
    assert strip.start > 0  # the part really did not see the top
    assert analysis_reach(codec.config) % 64 == synthesis_reach(codec.config) % 64 == 0
