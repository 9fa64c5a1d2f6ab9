"""The detector as a teacher: nothing to learn from the original itself, more from worse pictures."""

from pathlib import Path

import pytest
import torch

from manypath_cli.main import main
from manypath_lab.detector.teacher import DetectorTeacher, distances
from manypath_lab.training.data import PictureSet
from manypath_lab.training.joint import JointTrainer
from manypath_lab.training.recipe import JointRecipe, Phase, SideRecipe, load_recipe
from manypath_lab.training.teachers import load_task_network
from tests.detector.conftest import Reference


@pytest.fixture(scope="module")
def teacher() -> DetectorTeacher:
    network = load_task_network("detector")
    assert isinstance(network, DetectorTeacher)
    return network


@pytest.fixture(scope="module")
def picture(reference: Reference) -> torch.Tensor:
    return (torch.from_numpy(reference["img0_rgb"]).permute(2, 0, 1)[None] / 255.0)[..., 200:400, 150:410]


def test_an_answer_is_at_no_distance_from_itself_and_grows_with_the_error(
    teacher: DetectorTeacher, picture: torch.Tensor
) -> None:
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        target = teacher(picture)
        assert float(teacher.distance(target, target)) == pytest.approx(0.0, abs=1e-6)
        steps = [float(teacher.distance(teacher((picture + s * noise).clamp(0, 1)), target)) for s in (0.01, 0.05, 0.2)]
        assert 0 < steps[0] < steps[1] < steps[2]
        assert all(float(part.min()) > 0 for part in distances(teacher(picture + 0.1 * noise), target))


def test_each_sample_is_judged_alone(teacher: DetectorTeacher, picture: torch.Tensor) -> None:
    grey = torch.full_like(picture, 0.5)
    with torch.inference_mode():
        both = distances(teacher(torch.cat((grey, picture.flip(3)))), teacher(torch.cat((picture, picture))))
        alone = distances(teacher(grey), teacher(picture))
    for together, single in zip(both, alone, strict=True):
        assert together.shape == (2,)
        assert float(together[0]) == pytest.approx(float(single[0]), rel=1e-3)


def test_descending_along_the_pictures_gradient_lowers_the_distance(
    teacher: DetectorTeacher, picture: torch.Tensor
) -> None:
    x = (picture + 0.1 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)
    with torch.no_grad():
        target = teacher(picture)
    values = []
    for _ in range(6):
        x = x.detach().requires_grad_()
        loss = teacher.distance(teacher(x), target)
        (gradient,) = torch.autograd.grad(loss, x)
        values.append(float(loss.detach()))
        x = x - 0.02 * gradient.sign()
    assert values[-1] < 0.8 * values[0]


def test_a_factory_may_bring_a_distance_of_its_own() -> None:
    assert isinstance(load_task_network("manypath_lab.detector.teacher:DetectorTeacher"), DetectorTeacher)


def test_detection_is_a_task_of_the_joint_fine_tuning(reference: Reference, tmp_path: Path) -> None:
    from PIL import Image

    for name in ("img0", "img1"):
        Image.fromarray(reference[f"{name}_rgb"]).save(tmp_path / f"{name}.png")
    shipped = load_recipe("joint")
    assert isinstance(shipped, JointRecipe)
    (task,) = [task for task in shipped.tasks if task.path == "detection"]
    assert task.network == "detector"
    phase = Phase(steps=1, batch=1, crop=64)
    recipe = JointRecipe(name="t", preset="tiny", warmup=1, tasks=(task,), tasks_weight=0.5, phases=(phase,))
    trainer = JointTrainer(recipe, PictureSet(tmp_path, 64, quiet=True), tmp_path / "run")
    told = trainer.train_step()
    assert told["task"] > 0
    encoder = dict(trainer.network.named_parameters())["model.g_a.embed.weight"]
    assert encoder.grad is not None
    assert float(encoder.grad.abs().sum()) > 0


def test_the_shipped_recipe_trains_a_detection_path_without_labels(
    reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    recipe = load_recipe("stage2_det")
    assert isinstance(recipe, SideRecipe)
    assert (recipe.path, recipe.network) == ("detection", "detector")
    for name in ("img0", "img1"):
        Image.fromarray(reference[f"{name}_rgb"]).save(tmp_path / f"{name}.png")
    asked = ["--pictures", str(tmp_path), "--output", str(tmp_path / "run"), "--steps", "2", "--batch", "1", "--crop"]
    assert main(["lab", "train", "stage2_det", *asked, "64", "--threads", "1"]) == 0
    assert "path 'detection' adds" in capsys.readouterr().err
    assert (tmp_path / "run" / "state.pt").is_file()
