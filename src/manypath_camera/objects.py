"""Sends only frames in which a detector at the edge finds chosen things; the rest costs no byte of the uplink.

The detector is an ONNX model in a folder as ``manypath lab detector install`` makes it. It takes about 25 ms of one
core a frame, where encoding takes several times that: looking first is cheaper than encoding what nobody wants.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from manypath_camera.errors import ConfigurationError

Image = npt.NDArray[np.uint8]

_OUTPUTS = ("scores", "classes", "count")


class Wish(NamedTuple):
    """What a camera's frames must show.

    Attributes:
        classes: names out of the detector's; one of them is enough.
        min_score: of a box, 0..1.
        linger_seconds: frames are sent for so long after the last one that showed it: what follows belongs to it.
    """

    classes: tuple[str, ...]
    min_score: float = 0.3
    linger_seconds: float = 2.0


class EdgeDetector:
    """Runs a detector in this process; may be shared by cameras, each in its own thread.

    Args:
        folder: holds model.onnx, model.json and labels.txt.
        threads: of onnxruntime.

    Attributes:
        folder: as given.
        names: of its classes, by index.

    Raises:
        ConfigurationError: the folder holds no detector, or onnxruntime is not installed.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError as err:
            raise ConfigurationError(
                "looking for objects at the edge needs onnxruntime; install the extra 'worker'"
            ) from err
        self.folder = folder
        graph, self.names = _read(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads that spin at a barrier steal the core from the encoder beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as err:  # onnxruntime raises a dozen unrelated classes
            raise ConfigurationError(f"the detector in {folder} does not load: {err}") from err
        inputs = [tensor.name for tensor in self._session.get_inputs()]
        outputs = {tensor.name for tensor in self._session.get_outputs()}
        if inputs != ["image"] or not outputs.issuperset(_OUTPUTS):
            raise ConfigurationError(
                f"the detector in {folder} must take image and give {', '.join(_OUTPUTS)}; "
                f"it takes {', '.join(inputs)} and gives {', '.join(sorted(outputs))}"
            )

    def best_scores(self, image: Image) -> dict[str, float]:
        """Return the best score of each class that is found in a frame, uint8 [H, W, 3], by name."""
        scores, classes, count = self._session.run(list(_OUTPUTS), {"image": image[None]})
        found: dict[str, float] = {}
        rows = zip(scores[0].tolist(), classes[0].tolist(), strict=True)
        for score, index in list(rows)[: int(count[0, 0])]:
            name = self.names[int(index)]
            found[name] = max(score, found.get(name, 0.0))
        return found

    def indexes(self, classes: Sequence[str]) -> list[int]:
        """Return the indexes of classes.

        Raises:
            ConfigurationError: there is no such class, or none is named.
        """
        unknown = [name for name in classes if name not in self.names]
        if unknown or not classes:
            known = ", ".join(self.names)
            raise ConfigurationError(f"classes must be some of {known}; got {', '.join(unknown) or 'none'}")
        return [self.names.index(name) for name in classes]


class ObjectFilter:
    """Wants a frame in which a camera's chosen things are found, and those shortly after it.

    Args:
        detector: that looks.
        wishes: by camera; of others every frame is wanted.
        clock: monotonic, seconds.

    Raises:
        ConfigurationError: a wish is for a class that the detector does not have.
    """

    def __init__(self, detector: EdgeDetector, wishes: Mapping[str, Wish], clock: Callable[[], float]) -> None:
        for wish in wishes.values():
            detector.indexes(wish.classes)
        self._detector = detector
        self._wishes = dict(wishes)
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def wants(self, camera: str, image: Image) -> bool:
        """Return whether a frame, uint8 [H, W, 3], is to be sent."""
        wish = self._wishes.get(camera)
        if wish is None:
            return True
        scores = self._detector.best_scores(image)
        now = self._clock()
        with self._lock:
            if any(scores.get(name, 0.0) >= wish.min_score for name in wish.classes):
                self._seen[camera] = now
                return True
            return now - self._seen.get(camera, float("-inf")) < wish.linger_seconds


def default_folder() -> Path:
    """Return where `manypath lab detector install` puts the shipped detector, unless told otherwise."""
    configured = os.environ.get("MANYPATH_CACHE")
    return (Path(configured) if configured else Path.home() / ".cache" / "manypath") / "models" / "nanodet-g"


def _read(folder: Path) -> tuple[bytes, tuple[str, ...]]:
    """Return a detector's graph, checked against its manifest's digest, and its classes' names."""
    try:
        graph = (folder / "model.onnx").read_bytes()
        manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        names = tuple((folder / "labels.txt").read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as err:
        raise ConfigurationError(
            f"{folder} holds no detector ({err}); `manypath lab detector install --output DIR` makes DIR/nanodet-g"
        ) from err
    digest = hashlib.sha256(graph).hexdigest()
    if not isinstance(manifest, dict) or manifest.get("sha256") != digest:
        raise ConfigurationError(
            f"{folder / 'model.onnx'} is not the file that model.json describes (sha256 {digest}); install it again"
        )
    return graph, names
