"""What the decoder can be told: ``MANYPATH_DECODER_*``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from manypath_services.codec.settings import CodecSettings
from manypath_services.common.client import check_target
from manypath_services.common.settings import settings_for
from manypath_services.inference.detection import DetectorTensors

_TASK = re.compile(r"[a-z][a-z0-9_-]{0,31}")  # as the names of paths: a task takes the path called as it is
_ADDRESS = re.compile(r"(?P<target>.+:\d{1,5})/(?P<model>[^/]+)")


class WorkerAddress(NamedTuple):
    """Where a task's worker is.

    Attributes:
        target: "host:port".
        model: its name there.
    """

    target: str
    model: str


class DecoderSettings(CodecSettings):
    """The decoder's settings; those that every service has are in ``CodecSettings``."""

    model_config = settings_for("decoder")

    port: int = Field(50052, ge=0, le=65535, description="gRPC port; 0 takes a free one.")
    metrics_port: int = Field(9102, ge=0, le=65535, description="HTTP port of /metrics; 0 takes a free one.")
    max_request_bytes: int = Field(
        2**24, ge=2**16, le=2**31 - 1, description="Largest message that comes in, in bytes: bitstreams are small."
    )
    max_paths: int = Field(8, ge=1, le=64, description="Most pictures and tasks of one request.")
    workers: Mapping[str, str] = Field(
        default_factory=dict,
        description='Worker of each task, as JSON: {"classification": "host:port/model"}; '
        "classification, segmentation, detection, or a name of your own.",
    )
    worker_limit: int = Field(64, ge=1, le=10_000, description="Calls to one worker under way at once.")
    worker_timeout_seconds: float = Field(
        10.0, gt=0, le=600, description="Longest wait for a worker; the caller's deadline may be earlier."
    )
    workers_tls: bool = Field(
        False,
        description="Reach workers by TLS: their certificates must come from tls_ca, ours is shown where there is one.",
    )
    workers_token_file: Path | None = Field(None, description="File that holds the token workers want; needs TLS.")
    segmenter_side: int = Field(
        480,
        ge=32,
        le=16384,
        description="Longest side, in pixels, of what a segmenter of any size is shown; larger pictures are shrunk for "
        "it, and the mask is enlarged again.",
    )
    detector_side: int = Field(
        640,
        ge=32,
        le=16384,
        description="Longest side, in pixels, of what a detector of any size is shown; boxes come back in pixels of "
        "the picture all the same.",
    )
    detector_tensors: Mapping[str, str] = Field(
        default_factory=dict,
        description="How a detector of your own calls its outputs where they are not called boxes, scores, classes and "
        'count, as JSON: {"boxes": "det_boxes", "count": "num_dets"}; "rows" for one tensor [1, N, 6] of left, top, '
        "right, bottom, score, class.",
    )

    sessions_file: Path | None = Field(
        None, description="SQLite file that remembers which frames of cameras were delivered; empty is memory alone."
    )
    results_file: Path | None = Field(None, description="File that gets one JSON line for each frame of a camera.")
    results_webhook: str = Field("", description="http(s) address that each frame's result is posted to.")
    results_folder: Path | None = Field(None, description="Folder that gets the pictures of each frame of a camera.")
    frame_seconds: float = Field(120.0, gt=0, le=3600, description="Longest time for one frame of a stream.")

    @model_validator(mode="after")
    def _check_token(self) -> Self:
        if self.workers_token_file is not None and not self.workers_tls:
            prefix = type(self).model_config["env_prefix"]
            raise ValueError(f"{prefix}WORKERS_TOKEN_FILE needs {prefix}WORKERS_TLS: tokens never travel in plain text")
        return self

    @field_validator("workers")
    @classmethod
    def _check_workers(cls, workers: Mapping[str, str]) -> Mapping[str, str]:
        for task, address in workers.items():
            if _TASK.fullmatch(task) is None:
                raise ValueError(
                    f"a task's name is a lower-case word of at most 32 letters, digits, - and _; got {task!r}"
                )
            match = _ADDRESS.fullmatch(address)
            if match is None:
                raise ValueError(f'the worker of {task} must be "host:port/model"; got {address!r}')
            check_target(match["target"])
        return workers

    @field_validator("detector_tensors")
    @classmethod
    def _check_tensors(cls, tensors: Mapping[str, str]) -> Mapping[str, str]:
        unknown = sorted(set(tensors) - set(DetectorTensors._fields))
        if unknown:
            raise ValueError(f"a detector's tensors are {', '.join(DetectorTensors._fields)}; got {', '.join(unknown)}")
        return tensors

    @property
    def detector_names(self) -> DetectorTensors:
        """Return how a detector's outputs are called."""
        return DetectorTensors(**self.detector_tensors)

    def worker(self, task: str) -> WorkerAddress | None:
        """Return where the worker of ``task`` is; None if none is configured."""
        match = _ADDRESS.fullmatch(self.workers.get(task, ""))
        return WorkerAddress(match["target"], match["model"]) if match else None
