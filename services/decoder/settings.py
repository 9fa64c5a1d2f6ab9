"""What the decoder can be told: ``MANYPATH_DECODER_*``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import Field, field_validator

from services.common.settings import CodecSettings, settings_for

TASKS = ("classification",)  # that a worker can be asked today
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
    max_paths: int = Field(8, ge=1, le=64, description="Most pictures and tasks of one request.")
    workers: Mapping[str, str] = Field(
        default_factory=dict,
        description='Worker of each task, as JSON: {"classification": "host:port/model"}.',
    )
    worker_timeout_seconds: float = Field(
        10.0, gt=0, le=600, description="Longest wait for a worker; the caller's deadline may be earlier."
    )

    @field_validator("workers")
    @classmethod
    def _check_workers(cls, workers: Mapping[str, str]) -> Mapping[str, str]:
        for task, address in workers.items():
            if task not in TASKS:
                raise ValueError(f"task must be one of {', '.join(TASKS)}; got {task!r}")
            if _ADDRESS.fullmatch(address) is None:
                raise ValueError(f'the worker of {task} must be "host:port/model"; got {address!r}')
        return workers

    def worker(self, task: str) -> WorkerAddress | None:
        """Return where the worker of ``task`` is; None if none is configured."""
        match = _ADDRESS.fullmatch(self.workers.get(task, ""))
        return WorkerAddress(match["target"], match["model"]) if match else None
