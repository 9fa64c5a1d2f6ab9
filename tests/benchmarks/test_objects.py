"""Bytes saved by looking first, on a sequence whose answer is known."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.objects import main
from tests.worker.models import boxes_graph, write_model


def test_frames_that_show_nothing_cost_nothing_or_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The made detector is as sure of "all" as a frame is light; of six frames the second and fifth are light."""
    detector = write_model(tmp_path / "light", boxes_graph(), labels=["all", "square", "strip"], task="detection")
    frames = tmp_path / "frames"
    frames.mkdir()
    random = np.random.default_rng(0)
    for number in range(6):
        level = 210 if number in {1, 4} else 40
        pixels = np.clip(level + random.normal(0, 10, (64, 80, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(frames / f"{number}.png")
    file = tmp_path / "told.json"
    asked = ["--pictures", str(frames), "--class", "all", "--min-score", "0.5", "--model", "tiny-random"]
    assert main([*asked, "--detector", str(detector), "--linger", "1.5", "--rate", "1", "--output", str(file)]) == 0
    told = json.loads(file.read_text())
    assert [frame["shown"] for frame in told["frames"]] == [False, True, False, False, True, False]
    assert [frame["wanted"] for frame in told["frames"]] == [False, True, True, False, True, True]
    sizes = [frame["bytes"] for frame in told["frames"]]
    assert told["summary"]["bytes_sent"] == sizes[1] + sizes[2] + sizes[4] + sizes[5]
    assert told["summary"]["bytes_sent"] < told["summary"]["bytes_mixed"] < told["summary"]["bytes_everything"]
    assert "6 frames, 2 of them show all" in capsys.readouterr().out
