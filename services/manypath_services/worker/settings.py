"""Settings of the worker: ``MANYPATH_WORKER_*``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from manypath_services.common.settings import ServiceSettings, settings_for
from manypath_services.worker.limits import Limits


def _cached_models() -> Path:
    """Where `manypath lab classifier install` puts its model unless told otherwise.

    Raises:
        ValueError: this user has no home.
    """
    configured = os.environ.get("MANYPATH_CACHE")
    try:
        return (Path(configured) if configured else Path.home() / ".cache" / "manypath") / "models"
    except RuntimeError as err:
        raise ValueError("this user has no home folder to look for models in; set MANYPATH_WORKER_MODELS") from err


class WorkerSettings(ServiceSettings):
    """What a worker can be told."""

    model_config = settings_for("worker")

    port: int = Field(50053, ge=0, le=65535, description="gRPC port; 0 takes a free one.")
    metrics_port: int = Field(9103, ge=0, le=65535, description="HTTP port of /metrics; 0 takes a free one.")
    models: Path = Field(
        default_factory=_cached_models,
        description="Model repository: a folder with <name>/model.json, model.onnx and labels.txt per model.",
    )
    only: tuple[str, ...] = Field((), description="Models of it that are served, as a JSON list; empty is all.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "cpu", description="Where onnxruntime computes; auto is a GPU where there is one, else the CPU."
    )
    max_elements: int = Field(
        3 * 2**22, ge=1, description="Most elements of a request's inputs; three for each pixel of a picture."
    )
    max_side: int = Field(16384, ge=1, description="Longest axis of an input behind its first, in elements.")
    inference_seconds: float = Field(30.0, gt=0, le=3600, description="Longest run of a network; it is then ended.")
    queue_pixels: int = Field(
        3 * 2**26, ge=1, description="Elements of tensors that may wait for compute; a single request always may."
    )
    batch_pixels: int = Field(3 * 2**20, ge=1, description="Elements of tensors that are computed together at most.")
    max_batch: int = Field(
        32, ge=1, le=4096, description="Largest batch of a request; a network's memory grows with it."
    )

    @property
    def limits(self) -> Limits:
        """What a request may ask of a model."""
        return Limits(self.max_batch, self.max_elements, self.max_side, self.inference_seconds)
