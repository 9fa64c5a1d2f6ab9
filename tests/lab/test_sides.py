"""Side paths: only they learn, they start at the main path's side, they travel between files of one model."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from manypath import checkpoint
from manypath.codec import Codec
from manypath.edge.config import TINY
from manypath.errors import CheckpointError, ConfigError
from manypath.testing import random_model
from manypath_cli.main import main
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.recipe import Phase, SideLoss, SideRecipe, load_recipe, shipped
from manypath_lab.training.stage2 import SideTrainer, export_side, side_trainer
from manypath_lab.training.task_networks import TaskNetwork, answer_distance
from manypath_lab.training.teachers import load_task_network
from tests.codec.conftest import photo

PHASE = Phase(steps=30, batch=2, crop=64, rate=(1.0, 0.1))


def brightness_network() -> nn.Module:
    """Three "classes" by how light a picture is; what a user's factory looks like."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file without sides."""
    made = random_model("tiny", seed=3)
    tensors = checkpoint.export(made.model, made.hyper_tables)
    file = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    file.write_bytes(checkpoint.to_bytes(TINY, tensors))
    return file


@pytest.fixture(scope="module")
def finished(start: Path, photos: PictureSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    recipe = SideRecipe(name="t", path="mse", shape="adapter", ema=0.9, warmup=2, phases=(PHASE,))
    side_trainer(recipe, start, photos, run).run(report_every=5)
    return run


def test_a_side_learns_and_nothing_else_changes(finished: Path, start: Path) -> None:
    assert (finished / "curves.csv").read_text().splitlines()[0] == "step,seconds,loss,psnr,perceptual,task,gradient"
    before, after = sides.read(start), export_side(finished, sides.read(start))
    assert sides.base_digest(before) == sides.base_digest(after)
    assert (
        set(after.tensors) - set(before.tensors)
        == {key for key in after.tensors if sides.belongs_to(key, "mse")}
        != set()
    )


def test_a_served_side_decodes_streams_that_the_parent_wrote(finished: Path, start: Path, tmp_path: Path) -> None:
    file = tmp_path / "with_side.safetensors"
    assert main(["models", "export", str(finished), "--model", str(start), "--output", str(file)]) == 0
    old, new = Codec.load(start), Codec.load(file)
    image = photo(70, 90, 9)
    stream = old.encode(image, quality=6)
    assert stream == new.encode(image, quality=6)
    main_path, side = new.decode_paths(stream, [("perceptual", 1.0), ("mse", 1.0)])
    assert np.array_equal(main_path, old.decode(stream))
    error = [float(np.mean((made.astype(float) - image) ** 2)) for made in (main_path, side)]
    assert error[1] < error[0]


@pytest.mark.usefixtures("units")
def test_only_the_side_has_gradients_and_the_frozen_part_is_in_evaluation_mode(
    start: Path, photos: PictureSet, tmp_path: Path
) -> None:
    recipe = SideRecipe(name="t", path="mse", shape="adapter", phases=(PHASE,))
    trainer = SideTrainer(recipe, sides.read(start), photos, tmp_path)
    for _ in range(4):
        trainer.train_step()
    own = {id(parameter) for parameter in trainer.side.parameters()}
    assert not trainer.model.training
    for parameter in trainer.model.parameters():
        assert parameter.requires_grad == (id(parameter) in own)
        assert id(parameter) in own or parameter.grad is None


def test_a_new_side_starts_close_to_the_main_path(start: Path, photos: PictureSet, tmp_path: Path) -> None:
    recipe = SideRecipe(name="t", path="mse", shape="inverted", phases=(PHASE,))
    trainer = SideTrainer(recipe, sides.read(start), photos, tmp_path)
    block = trainer.model.g_s.groups[0].blocks[0]
    x = torch.randn(200, TINY.channels) * 0.2
    main_out, side_out = block.main_mlp(x), block.side_mlps["mse"](x)
    assert float(((main_out - side_out).norm() / main_out.norm()).detach()) < 0.05


def test_a_task_without_a_network_is_refused(start: Path, photos: PictureSet, tmp_path: Path) -> None:
    recipe = load_recipe("side", path="vehicles")
    assert isinstance(recipe, SideRecipe)
    with pytest.raises(ConfigError, match="network"):
        side_trainer(recipe, start, photos, tmp_path)


def test_a_run_resumes_to_the_step_and_refuses_other_weights(
    finished: Path, start: Path, photos: PictureSet, tmp_path: Path
) -> None:
    recipe = SideRecipe.model_validate_json((finished / "recipe.json").read_text())
    trainer = side_trainer(recipe, start, photos, finished)
    assert trainer.resume()
    assert trainer.step == 30
    made = random_model("tiny", seed=4)
    other = tmp_path / "other.safetensors"
    other.write_bytes(checkpoint.to_bytes(TINY, checkpoint.export(made.model, made.hyper_tables)))
    with pytest.raises(CheckpointError, match="other weights"):
        side_trainer(recipe, other, photos, finished)
    with pytest.raises(CheckpointError, match="not those"):
        export_side(finished, sides.read(other))
    with pytest.raises(CheckpointError, match="another model"):
        sides.merge(sides.read(other), [export_side(finished, sides.read(start))])


def test_sides_of_one_model_merge_and_a_later_one_replaces_an_earlier(finished: Path, start: Path) -> None:
    base = sides.read(start)
    one = export_side(finished, base)
    zeros = {key: torch.zeros_like(value) for key, value in one.tensors.items() if sides.belongs_to(key, "mse")}
    own = sides.with_side(base, "vehicles", "adapter", {key.replace("mse", "vehicles"): v for key, v in zeros.items()})
    both = sides.merge(one, [own, sides.with_side(base, "mse", "adapter", zeros)])
    assert dict(both.config.sides) == {"mse": "adapter", "vehicles": "adapter"}
    assert not both.tensors["g_s.groups.0.blocks.0.side_mlps.mse.expand.weight"].any()
    sides.to_bytes(both)


def test_a_network_of_the_users_own_teaches_a_path_by_its_name(start: Path, photos: PictureSet, tmp_path: Path) -> None:
    loss = SideLoss(mse=0.3, task=1.0)
    recipe = SideRecipe(
        name="t", path="brightness", network=f"{__name__}:brightness_network", loss=loss, phases=(PHASE,)
    )
    trainer = side_trainer(recipe, start, photos, tmp_path)
    trainer.run(report_every=10)
    file = tmp_path / "own.safetensors"
    file.write_bytes(sides.to_bytes(export_side(tmp_path, sides.read(start))))
    codec = Codec.load(file)
    assert codec.serves("brightness")
    assert codec.decode(codec.encode(photo(64, 64), quality=3), path="brightness").shape == (64, 64, 3)
    assert json.loads((tmp_path / "start.json").read_text())["model"] == str(start)


def test_an_onnx_file_gives_the_same_answers_as_a_torch_network(tmp_path: Path) -> None:
    weight = np.random.default_rng(1).normal(size=(2, 3, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, None, None, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(weight, "w")],
    )
    file = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), file)
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    (answer,) = load_task_network(str(file))(x)
    wanted = torch.einsum("kc,bchw->bk", torch.from_numpy(weight[..., 0, 0]), x) / 64
    torch.testing.assert_close(answer, wanted)
    answer.sum().backward()
    assert x.grad is not None
    assert bool(x.grad.any())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nothing", "module:factory"),
        ("no_such_module:f", "PYTHONPATH"),
        ("absent.onnx", "absent.onnx"),
        ("os:getcwd", "torch"),
    ],
)
def test_a_network_that_cannot_be_had_is_named(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_task_network(name)


def test_the_distance_of_an_answer_is_zero_for_itself_and_grows() -> None:
    logits = [
        torch.tensor([[2.0, 0.0, -1.0]]),
        torch.randn(1, 5, generator=torch.Generator().manual_seed(0))[..., None],
    ]
    assert float(answer_distance(logits, logits)) == pytest.approx(0.0, abs=1e-6)
    worse = [logits[0].flip(1), logits[1]]
    assert float(answer_distance(worse, logits)) > 0.5
    probabilities = [logits[0].softmax(1)]
    expected = float(answer_distance([logits[0].flip(1)], [logits[0]]))
    assert float(answer_distance([probabilities[0].flip(1)], probabilities)) == pytest.approx(expected, rel=1e-4)


def test_a_task_network_takes_what_it_was_made_for() -> None:
    network = TaskNetwork(nn.Flatten(), mean=0.5, scale=0.5, channels_last=True)
    (out,) = network(torch.full((1, 3, 2, 2), 0.75))
    assert out.shape == (1, 12)
    assert float(out.max()) == 0.5


def test_every_shipped_recipe_is_sound() -> None:
    assert {"stage1", "stage2_mse", "stage2_cls", "stage2_seg", "side"} <= set(shipped())
    for name in shipped():
        assert load_recipe(name).steps > 0
    asked = load_recipe("side", path="vehicles", network="a.onnx", steps=7)
    assert isinstance(asked, SideRecipe)
    assert (asked.path, asked.steps) == ("vehicles", 7)
