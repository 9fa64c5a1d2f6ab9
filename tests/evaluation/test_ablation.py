import pathlib

import numpy as np
import pytest
import torch

from manypath import checkpoint
from manypath.codec import Codec
from manypath.testing import random_model
from manypath_lab.evaluation.ablation import VARIANTS, RandomPredictor, make_codec
from tests.evaluation.conftest import synthetic_picture
from tests.evaluation.test_commands import run_command


@pytest.fixture
def model(tmp_path: pathlib.Path) -> str:
    """An untrained model in a file, its paths made to differ."""
    released = random_model("tiny")
    torch.manual_seed(0)
    for name, parameter in released.model.g_a.named_parameters():
        if "project" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    file = tmp_path / "tiny.safetensors"
    tensors = checkpoint.export(released.model, released.hyper_tables)
    file.write_bytes(checkpoint.to_bytes(released.model.config, tensors))
    return str(file)


def test_every_variant_writes_other_streams_that_the_unchanged_decoder_reads(model: str) -> None:
    picture = synthetic_picture(128, 128, 5)
    decoder = Codec.load(model)
    streams = {variant.name: make_codec(model, variant).encode(picture, quality=4.0) for variant in VARIANTS}
    assert len(set(streams.values())) == len(VARIANTS)
    assert streams["full"] == decoder.encode(picture, quality=4.0)
    for variant in VARIANTS:
        own = make_codec(model, variant).decode(streams[variant.name])
        assert (decoder.decode(streams[variant.name]) == own).all()


def test_with_one_path_only_the_quality_s_share_of_tokens_decides_nothing(model: str) -> None:
    """At quality 8 all tokens are on the high-quality path, so taking the low one away changes nothing."""
    picture = synthetic_picture(64, 64, 6)
    whole, *_, no_low = (make_codec(model, variant) for variant in VARIANTS)
    assert no_low.encode(picture, quality=8.0) == whole.encode(picture, quality=8.0)
    assert no_low.encode(picture, quality=2.0) != whole.encode(picture, quality=2.0)


def test_a_random_predictor_repeats_itself_in_a_new_run() -> None:
    x = torch.zeros(1, 8, 8, 32)
    first, again = (RandomPredictor(3)(x).numpy() for _ in range(2))
    assert np.array_equal(first, again)
    assert first.std() > 0.5


def test_the_command_compares_each_variant_with_the_trained_choice(
    folder: pathlib.Path, tmp_path: pathlib.Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    code = run_command(
        *("--pictures", str(folder), "--output", str(output), "--model", model),
        *("--qualities", "1,3,5,7", "--limit", "1"),
        kind="ablation",
    )
    assert code == 0
    assert "psnr by psnr: no-high vs full" in capsys.readouterr().out
    assert "nothing trained anew" in (output / "pictures.md").read_text()
