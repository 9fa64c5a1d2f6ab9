"""Figures of one picture: what they show is what the codec does."""

import numpy as np
import pytest
import torch
from PIL import Image

from manypath_lab.evaluation.chart import COLOURS
from manypath_lab.figures.answers import Classifier
from manypath_lab.figures.masks import Masks, overlay
from manypath_lab.figures.saliency import full_gradient
from manypath_lab.figures.sheet import DPI, WIDTH, Sheet, path_colour
from manypath_lab.figures.subject import telling_window

PATHS = ["perceptual", "mse", "classification", "segmentation"]  # those of the untrained model


def test_paths_shows_the_original_and_each_path_that_the_model_serves(figure, picture, codec, image):
    made = figure("paths", "--picture", picture, "--quality", 3)
    assert made.size[0] == 1920
    assert [column["path"] for column in made.facts["columns"]] == ["original", *PATHS]
    assert all(len(column["classes"]) == 5 for column in made.facts["columns"])
    stream = codec.encode(image, quality=3)
    assert made.facts["bitstream_bytes"] == len(stream)
    for path in PATHS:
        assert np.array_equal(made.maps()[path], codec.decode(stream, path=path))


def test_paths_shows_only_what_was_asked_for(figure, picture):
    paths = ("--path", "segmentation", "--path", "perceptual")
    made = figure("paths", "--picture", picture, *paths, "--no-classes", "--masks")
    assert [column["path"] for column in made.facts["columns"]] == ["original", "perceptual", "segmentation"]
    assert "classes" not in made.facts["columns"][0]
    first, *others = (made.maps()[f"{column['path']}_mask"] for column in made.facts["columns"])
    agreement = [column["mask_agreement"] for column in made.facts["columns"]]
    assert agreement == [1.0, *(float((own == first).mean()) for own in others)]


def test_the_detail_is_where_the_reconstructions_differ(image):
    other = image.copy()
    other[60:80, 100:120] += 9
    window = telling_window(image, [image, other])
    assert window.left <= 100
    assert window.top <= 60
    assert 120 <= window.left + window.width <= image.shape[1]
    assert 80 <= window.top + window.height <= image.shape[0]


def test_scores_are_the_encoders_as_they_are_and_the_decoders_inverted(figure, picture, codec, image):
    made = figure("scores", "--picture", picture, "--quality", 2, "--task-share", 0.25)
    maps = made.maps()
    assert len(maps) == 3 * (1 + 3)
    for stage, scores in enumerate(codec.encode_scores(image, 2), start=1):
        assert np.array_equal(maps[f"encoder_stage{stage}"], scores)
    stream = codec.encode(image, quality=2)
    (mse,) = codec.reconstruct(stream, [("mse", 0.25)], scores=True)
    for stage, scores in enumerate(mse.scores, start=1):
        assert np.array_equal(maps[f"mse_stage{stage}"], 1.0 - scores)
    assert all(own.shape == (13, 18) and own.min() >= 0 and own.max() <= 1 for own in maps.values())


def test_a_bit_map_adds_up_to_its_stream_and_the_grain_takes_the_bits(figure, picture):
    made = figure("bits", "--picture", picture, "--qualities", "8,1,4")
    assert [row["quality"] for row in made.facts["qualities"]] == [1, 4, 8]
    for row in made.facts["qualities"]:
        bits = made.maps()[f"quality_{row['quality']:g}"]
        assert bits.shape == (7, 9)
        # The map ends with the picture, the stream with the padding; the header and each chunk's end are fixed costs.
        assert bits.sum() / 8 == pytest.approx(row["map_bytes"])
        assert row["map_bytes"] <= row["bitstream_bytes"]
    flat, grainy = made.maps()["quality_8"][:, :4], made.maps()["quality_8"][:, 5:]
    assert grainy.min() > 1.5 * flat.max()
    low, high = made.facts["scale_bits_per_pixel"]
    assert 0 < low < high


def test_a_bit_map_of_the_shipped_model_is_its_streams_size(figure, tmp_path):
    file = tmp_path / "hills.png"
    rows, columns = np.mgrid[0:192, 0:256]  # whole windows: no padding
    hills = 120 + 60 * np.sin(rows / 9.0) * np.cos(columns / 13.0) + np.random.default_rng(1).normal(0, 20, rows.shape)
    Image.fromarray(np.repeat(hills.clip(0, 255).astype(np.uint8)[..., None], 3, 2)).save(file)
    (row,) = figure("bits", "--picture", file, "--qualities", "6", "--model", "edge").facts["qualities"]
    assert row["map_bytes"] == pytest.approx(row["bitstream_bytes"], rel=0.05)


def test_fullgrad_explains_the_answer_on_the_original(figure, picture, image):
    made = figure("fullgrad", "--picture", picture, "--path", "mse")
    classifier = Classifier()
    answer = classifier.top(classifier.probabilities([image])[0], 1)[0]
    assert (made.facts["class_index"], made.facts["label"]) == (answer.class_index, answer.label)
    assert made.facts["columns"][0]["probability"] == pytest.approx(answer.probability)
    assert made.facts["columns"][0]["correlation_with_original"] == pytest.approx(1.0)
    maps = made.maps()
    assert set(maps) == {"original", "mse"}
    assert all(own.shape == (224, 224) and own.min() == 0 and own.max() <= 1 for own in maps.values())


def test_our_fullgrad_is_the_librarys():
    network = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 6, 3, stride=2), torch.nn.BatchNorm2d(6), torch.nn.ReLU()),
        *(torch.nn.Conv2d(6, 9, 3, stride=2, bias=False), torch.nn.BatchNorm2d(9), torch.nn.ReLU()),
        *(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(9, 4)),
    ).eval()
    for norm in (network[1], network[4]):
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
    x = torch.randn(2, 3, 40, 32)
    ours = full_gradient(network, x, 2)  # first: it gets the library past its imports
    from pytorch_grad_cam import FullGrad
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with FullGrad(network, []) as explain:
        theirs = explain(x, [ClassifierOutputTarget(2)] * 2)
    assert ours.shape == (2, 40, 32)
    assert np.allclose(ours, theirs, atol=1e-5)


def test_details_for_people_are_cut_from_what_each_path_and_the_baseline_made(figure, picture, codec, image):
    made = figure("people", "--pictures", picture.parent, "--quality", 5, "--side", 48, "--baseline", "jpeg")
    assert made.size[0] == 1920
    (one,) = made.facts["pictures"]
    stream = codec.encode(image, quality=5)
    assert one["bytes"] == len(stream) >= one["baseline_bytes"]
    window = one["window"]
    assert (window["width"], window["height"]) == (48, 48)
    cut = np.s_[window["top"] : window["top"] + 48, window["left"] : window["left"] + 48]
    maps = made.maps()
    assert np.array_equal(maps["grain_original"], image[cut])
    for path in ("mse", "perceptual"):
        assert np.array_equal(maps[f"grain_{path}"], codec.decode(stream, path=path)[cut])
    assert made.facts["columns"] == ["original", "mse", "perceptual", "JPEG"]


def test_a_transition_begins_at_the_main_path_and_ends_at_the_tasks(figure, picture, codec, image):
    made = figure("transition", "--picture", picture, "--path", "mse", "--steps", 5, "--quality", 4)
    steps = made.facts["steps"]
    assert [step["task_share"] for step in steps] == [0.0, 0.25, 0.5, 0.75, 1.0]
    stream = codec.encode(image, quality=4)
    for step, path in ((steps[0], "perceptual"), (steps[-1], "mse")):
        error = np.mean((codec.decode(stream, path=path).astype(float) - image) ** 2)
        assert step["psnr_db"] == pytest.approx(10 * np.log10(255**2 / error))
    lines = made.file.with_suffix(".csv").read_text().splitlines()
    assert lines[0] == "task_share,psnr_db,confidence"
    assert len(lines) == 6


def test_masks_agree_with_themselves_and_show_their_classes_colours(image):
    palette = np.asarray([[200, 0, 0], [0, 0, 200]], dtype=np.uint8)
    first = np.zeros(image.shape[:2], dtype=np.uint8)
    second = first.copy()
    second[:25] = 1
    masks = Masks([first, second], ("road", "sky"), palette)
    assert masks.agreement == [1.0, 0.75]
    assert masks.present == [0, 1]
    shown = overlay(image, second, palette).astype(int)
    assert (shown[0, :, 2] > shown[0, :, 0]).all()
    assert (shown[50, :, 0] > shown[50, :, 2]).all()
    assert (shown[25] == 255).all()  # the border


def test_our_paths_never_have_a_peers_colour():
    ours = [path_colour(path, own) for own, path in enumerate([*PATHS, "vehicles"])]
    assert len(set(ours)) == len(ours)
    assert not {colour.lower() for colour in ours} & {colour.lower() for colour in COLOURS.values()}


def test_a_sheet_is_as_wide_as_a_slide(tmp_path):
    Sheet(3.0, "title", "subtitle").save(tmp_path / "deep" / "sheet.png")
    with Image.open(tmp_path / "deep" / "sheet.png") as sheet:
        assert sheet.size == (WIDTH * DPI, 3 * DPI) == (1920, 480)
