"""A published checkpoint is taken whole or not at all, and never as code."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from manypath.convert.upstream import load_published, names, published_config, read_published
from manypath.errors import CheckpointError
from manypath.network import Network
from manypath.tinylic.config import TINYLIC
from manypath_cli.exits import ExitCode
from manypath_cli.main import main
from tests.tinylic.published_context import to_published


def test_every_parameter_is_filled_exactly_once(network: Network) -> None:
    own = dict(network.named_parameters())
    filled = {name: torch.zeros(parameter.shape[:1]) for name, parameter in own.items()}
    for pieces in names(network.config).values():  # type: ignore[arg-type]
        for ours, rows, _ in pieces:
            filled[ours][slice(*rows) if rows else slice(None)] += 1
    assert all(bool((count == 1).all()) for count in filled.values())


def test_values_come_back_under_their_published_names(network: Network, published_tensors: dict[str, Tensor]) -> None:
    back = to_published(network)
    assert back.keys() == published_tensors.keys()
    for name, value in published_tensors.items():
        if name.startswith(("Gain", "Hyper", "Inverse")) or ".gamma_" in name:
            assert torch.allclose(back[name], value.abs(), rtol=1e-6), name
        else:
            assert torch.equal(back[name], value), name


def test_a_missing_tensor_is_named(published_tensors: dict[str, Tensor]) -> None:
    left = {k: v for k, v in published_tensors.items() if k != "g_s4.residual_group.blocks.1.attn.rpb"}
    with pytest.raises(CheckpointError, match=r"lacks g_s4\.residual_group\.blocks\.1\.attn\.rpb$"):
        published_config(left)


def test_a_tensor_too_many_is_named(published_tensors: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match=r"no place for: g_a1\.adapter\.weight$"):
        published_config({**published_tensors, "g_a1.adapter.weight": torch.zeros(1)})


@pytest.mark.parametrize("name", ["g_a0.weight", "cc_transforms.1.0.weight"])
def test_a_tensor_of_another_shape_is_named(published_tensors: dict[str, Tensor], name: str) -> None:
    whole = published_tensors[name]
    with pytest.raises(CheckpointError, match=f"{name}: expected"):
        load_published({**published_tensors, name: whole[:, :-1] if whole.dim() > 1 else whole[:-1]})


def test_a_value_that_is_no_number_is_named(published_tensors: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match=r"g_a2\.bias holds values"):
        load_published({**published_tensors, "g_a2.bias": torch.full((192,), float("nan"))})


def test_buffers_must_agree_with_ours_or_are_made_anew(published_tensors: dict[str, Tensor]) -> None:
    corners = torch.zeros(48, 24, 3, 3)
    corners[:, :, ::2, ::2] = 1.0
    buffers = {
        "sc_transform_1.mask": corners,
        "entropy_bottleneck._quantized_cdf": torch.zeros(192, 70, dtype=torch.int32),
        "gaussian_conditional._cdf_length": torch.zeros(64, dtype=torch.int32),
        "gaussian_conditional.lower_bound_scale.bound": torch.tensor([0.11]),
    }
    published_config({**published_tensors, **buffers})
    with pytest.raises(CheckpointError, match=r"sc_transform_1\.mask"):
        published_config({**published_tensors, **buffers, "sc_transform_1.mask": torch.ones(48, 24, 3, 3)})


def test_a_first_stage_checkpoint_has_no_sides(published_tensors: dict[str, Tensor]) -> None:
    wanted = names(TINYLIC)
    tensors = {k: v for k, v in published_tensors.items() if k in wanted}
    assert published_config(tensors).sides == ()


class Trap:
    """A pickle that would run a command where it is opened carelessly."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch trapped",)


@pytest.mark.parametrize("kind", ["pickle", "torch", "rubbish", "missing", "empty", "numbers"])
def test_what_is_not_plain_tensors_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "published.pth"
    if kind == "pickle":
        file.write_bytes(pickle.dumps({"state_dict": Trap()}))
    elif kind == "torch":
        torch.save({"state_dict": {"Gain": torch.ones(1)}, "extra": Trap()}, file)
    elif kind == "rubbish":
        file.write_bytes(b"not a checkpoint at all")
    elif kind == "empty":
        torch.save({}, file)
    elif kind == "numbers":
        torch.save({"Gain": 3}, file)
    with pytest.raises(CheckpointError):
        read_published(file)
    assert not (tmp_path / "trapped").exists()


def test_wrappers_around_a_state_dict_are_taken_off(tmp_path: Path) -> None:
    file = tmp_path / "published.pth.tar"
    torch.save({"epoch": 3, "state_dict": {"module.Gain": torch.ones(8, 320)}}, file)
    assert list(read_published(file)) == ["Gain"]


def test_the_command_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "published.pth"
    torch.save({"Gain": torch.ones(8, 320)}, file)
    arguments = ["models", "import", "--from", "upstream", str(file), "--output", str(tmp_path / "x.safetensors")]
    assert main(arguments) == ExitCode.MODEL
    assert "lacks HyperGain" in capsys.readouterr().err


def test_an_imported_model_is_a_model_like_any_other(
    tmp_path: Path, published_tensors: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "published.pth", tmp_path / "mpa.safetensors"
    torch.save({"state_dict": published_tensors}, source)
    assert main(["models", "import", "--from", "upstream", str(source), "-o", str(target)]) == ExitCode.OK
    assert "classification, mse, perceptual, segmentation" in capsys.readouterr().out
