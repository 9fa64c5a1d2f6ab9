"""Tasks and their workers: labels, masks, and whatever a user's own network gives."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from manypath.codec import Codec
from manypath_api.v1 import codec_pb2 as pb
from tests.services.serving import SECONDS, Running, RunningWorker, photo, refusal
from tests.worker.models import channel_scores_graph, colours_graph, extremes_graph, light_graph, write_model

SIDES_MODEL = "tiny-random-sides"
DARK, LIGHT = (0x10, 0x20, 0x30), (0xFF, 0xE0, 0x80)


@pytest.fixture(scope="module")
def worker(loop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "colours", colours_graph(), labels=["red", "green", "blue"])
    palette = {"palette": str([list(DARK), list(LIGHT)])}
    write_model(folder / "light", light_graph(), labels=["dark", "light"], metadata=palette, task="segmentation")
    write_model(folder / "channels", channel_scores_graph(), task="other")
    write_model(folder / "extremes", extremes_graph(), task="other")
    worker = RunningWorker(loop, folder)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def running(loop, worker):
    models = {"classification": "colours", "segmentation": "light", "lamps": "light"}
    models |= {"channels": "channels", "exposure": "extremes"}
    workers = {task: f"{worker.target}/{model}" for task, model in models.items()}
    running = Running("decoder", loop, model=SIDES_MODEL, workers=workers, segmenter_side=96)
    yield running
    running.close()


@pytest.fixture
def client(running):
    with running.client() as client:
        yield client


@pytest.fixture(scope="module")
def codec():
    return Codec.load(SIDES_MODEL)


def scene(height: int = 64, width: int = 96) -> np.ndarray:
    """A dark picture with a light half."""
    image = np.full((height, width, 3), 40, np.uint8)
    image[:, width // 2 :] = 215
    return image


@pytest.fixture(scope="module")
def bitstream(codec):
    return codec.encode(scene(), quality=8)


def analyze(client, bitstream, *tasks, **options):
    request = pb.AnalyzeRequest(bitstream=bitstream, tasks=tasks, **options)
    return list(client.Analyze(request, timeout=SECONDS).results)


SEGMENT = pb.TaskRequest(task=pb.TASK_SEGMENTATION)


def lit(image: np.ndarray) -> np.ndarray:
    return (image.astype(np.float32).mean(axis=2) > 127).astype(np.uint8)


def png(file: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(file)) as opened:
        assert opened.format == "PNG"
        return np.asarray(opened)


def test_a_mask_comes_back_with_names_shares_and_colours(client, codec, bitstream):
    (result,) = analyze(client, bitstream, SEGMENT)
    expected = lit(codec.decode(bitstream, path="segmentation"))
    found = result.segmentation
    np.testing.assert_array_equal(png(found.mask.png), expected)
    assert (found.mask.width, found.mask.height) == (96, 64)
    assert [(one.index, one.name) for one in found.classes] == [(0, "dark"), (1, "light")]
    assert [one.share for one in found.classes] == pytest.approx([1 - expected.mean(), expected.mean()])
    assert [one.colour for one in found.classes] == [0x102030, 0xFFE080]
    assert found.overlay == b""
    assert (result.task, result.task_name, result.model) == (pb.TASK_SEGMENTATION, "segmentation", "light")
    assert result.route.used_name == "segmentation"
    assert result.route.task_share == 1


def test_a_raw_mask_has_a_byte_a_pixel(client, bitstream):
    (as_file,) = analyze(client, bitstream, SEGMENT)
    (raw,) = analyze(client, bitstream, SEGMENT, picture_format=pb.PICTURE_FORMAT_RAW)
    mask = np.frombuffer(raw.segmentation.mask.raw, np.uint8).reshape(64, 96)
    np.testing.assert_array_equal(mask, png(as_file.segmentation.mask.png))


def test_an_overlay_is_the_picture_tinted_with_the_classes_colours(client, codec, bitstream):
    request = pb.TaskRequest(task=pb.TASK_SEGMENTATION, overlay=True)
    (result,) = analyze(client, bitstream, request)
    overlay, mask = png(result.segmentation.overlay), png(result.segmentation.mask.png)
    assert overlay.shape == (64, 96, 3)
    grey = codec.decode(bitstream, path="segmentation").mean(axis=2, keepdims=True)
    expected = 0.45 * grey + 0.55 * np.array([DARK, LIGHT])[mask]
    np.testing.assert_allclose(overlay, expected, atol=1)


def test_a_mask_of_a_picture_above_the_segmenters_side_has_the_pictures_size(client, codec):
    bitstream = codec.encode(scene(150, 200), quality=8)
    (result,) = analyze(client, bitstream, SEGMENT)
    seen = Image.fromarray(codec.decode(bitstream, path="segmentation")).resize((96, 72), Image.Resampling.BILINEAR)
    mask = Image.fromarray(lit(np.asarray(seen))).resize((200, 150), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(png(result.segmentation.mask.png), np.asarray(mask))


def test_a_task_of_a_users_own_gives_what_its_network_is_made_for(client, bitstream):
    lamps, channels, exposure = analyze(
        client, bitstream, *(pb.TaskRequest(task_name=name) for name in ("lamps", "channels", "exposure"))
    )
    for result in (lamps, channels, exposure):
        assert result.task == pb.TASK_UNSPECIFIED
        assert result.route.fallback  # the model has no such side
        assert (result.route.asked_name, result.route.used_name) == (result.task_name, "perceptual")
    assert [one.name for one in lamps.segmentation.classes] == ["dark", "light"]
    # a model of floats and of a size of its own: the picture was squeezed into it, and the mask enlarged
    assert (channels.segmentation.mask.width, channels.segmentation.mask.height) == (96, 64)
    assert {one.name for one in channels.segmentation.classes} == {""}
    assert sum(one.share for one in channels.segmentation.classes) == pytest.approx(1)
    darkest, lightest = exposure.tensors.tensors
    assert (darkest.name, darkest.datatype, list(darkest.shape)) == ("darkest", "UINT8", [1, 3])
    assert max(darkest.data) < 100 < min(lightest.data)


def test_a_task_may_name_the_path_that_its_worker_sees(client, codec):
    bitstream = codec.encode(photo(), quality=8)
    results = analyze(
        client,
        bitstream,
        *(pb.TaskRequest(task=pb.TASK_CLASSIFICATION, path_name=name) for name in ("", "perceptual", "mse")),
    )
    for result, path in zip(results, ("classification", "perceptual", "mse"), strict=True):
        assert result.route.used_name == path
        means = codec.decode(bitstream, path=path).reshape(-1, 3).mean(axis=0) / 255
        best = result.classification.labels[0]
        assert best.score == pytest.approx(means.max(), abs=1e-5)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (
            pb.TaskRequest(task_name="lamp"),
            "one of classification, segmentation, channels, exposure, lamps here; got 'lamp'",
        ),
        (pb.TaskRequest(task=pb.TASK_CLASSIFICATION, task_name="lamps"), "task is TASK_CLASSIFICATION and task_name"),
        (pb.TaskRequest(task_name="lamps", path_name="nowhere"), "path must be one of"),
    ],
)
def test_a_task_that_cannot_be_is_refused_with_the_list(client, bitstream, task, said):
    error = refusal(client.Analyze, pb.AnalyzeRequest(bitstream=bitstream, tasks=[task]))
    assert error.code().name == "INVALID_ARGUMENT"
    assert said in error.details()


def test_several_tasks_and_pictures_decode_what_they_share_once(client, bitstream):
    pictures = [pb.PathRequest(path_name=name) for name in ("perceptual", "mse", "segmentation")]
    request = pb.AnalyzeRequest(
        bitstream=bitstream, tasks=[SEGMENT, pb.TaskRequest(task=pb.TASK_CLASSIFICATION)], pictures=pictures
    )
    response = client.Analyze(request, timeout=SECONDS)
    assert [timing.stage for timing in response.timings] == [
        "queue",
        "entropy_parameters",
        "coding",
        "synthesis",
        "picture_encode",
        "worker",
    ]
    assert [picture.route.fallback for picture in response.pictures] == [False] * 3
    assert response.results[0].HasField("segmentation")
    assert response.results[1].HasField("classification")


def test_the_decoder_tells_its_tasks(client):
    told = client.GetCapabilities(pb.DecoderServiceGetCapabilitiesRequest(), timeout=SECONDS)
    assert list(told.path_names) == ["perceptual", "mse", "classification", "segmentation"]
    assert list(told.task_names) == ["classification", "segmentation", "channels", "exposure", "lamps"]


def test_a_classifier_behind_the_segmentation_task_is_an_error_that_says_so(start, worker, bitstream):
    running = start("decoder", model=SIDES_MODEL, workers={"segmentation": f"{worker.target}/colours"})
    with running.client() as client:
        error = refusal(client.Analyze, pb.AnalyzeRequest(bitstream=bitstream, tasks=[SEGMENT]))
    assert error.code().name == "FAILED_PRECONDITION"
    assert "a segmenter has indexes [N, H, W] or scores [N, C, H, W]" in error.details()
    assert running.value("manypath_downstream_calls_total", worker="segmentation", code="FAILED_PRECONDITION") == 1
