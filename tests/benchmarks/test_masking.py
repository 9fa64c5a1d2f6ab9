import pytest
import torch

from benchmarks.masking import main, ways
from manypath import checkpoint
from manypath.config import PUBLISHED_SIDES
from manypath.transforms import Block


@torch.inference_mode()
@pytest.mark.parametrize("share", [0.1, 0.9])
def test_all_ways_give_the_same_tokens(share: float) -> None:
    model = checkpoint.random_model("tinylic-tiny", sides=PUBLISHED_SIDES).model
    block = model.g_s.groups[-1].blocks[0]
    assert isinstance(block, Block)
    gain = block.mlp_gain(torch.tensor([96]))[0]
    tokens = torch.randn(500, len(gain))
    before = tokens.clone()
    made = [way() for way in ways(block, tokens, "mse", torch.rand(500) < share, gain).values()]
    assert all(torch.allclose(own, made[0], atol=1e-6) for own in made)
    assert tokens.equal(before)
    assert not torch.allclose(made[0], tokens)


def test_a_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--preset", "tinylic-tiny", "--width", "64", "--height", "64", "--rounds", "1"]) == 0
    assert "| classification | 0.98 |" in capsys.readouterr().out
