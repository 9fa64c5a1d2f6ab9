"""What the encoder can be told: ``MANYPATH_ENCODER_*``."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from manypath import Rate
from manypath_camera.retention import Policy
from manypath_services.codec.settings import CodecSettings
from manypath_services.common.client import check_target
from manypath_services.common.settings import settings_for


class EncoderSettings(CodecSettings):
    """The encoder's settings; those that every service has are in ``CodecSettings``."""

    model_config = settings_for("encoder")

    port: int = Field(50051, ge=0, le=65535, description="gRPC port; 0 takes a free one.")
    metrics_port: int = Field(9101, ge=0, le=65535, description="HTTP port of /metrics; 0 takes a free one.")
    uplink: str = Field("", description='Decoder that Process forwards to, "host:port"; empty is none.')
    uplink_limit: int = Field(
        64, ge=1, le=10_000, description="Process calls under way at once; more are refused with a pushback."
    )
    uplink_timeout_seconds: float = Field(
        30.0, gt=0, le=600, description="Longest wait for the decoder; the caller's deadline may be earlier."
    )
    uplink_tls: bool = Field(
        False,
        description="Reach the decoder by TLS: its certificate must come from tls_ca; ours, if any, is shown.",
    )
    uplink_token_file: Path | None = Field(None, description="File that holds the token the decoder wants; needs TLS.")
    ready_with_uplink: bool = Field(
        False, description="Report not ready while no decoder answers; calls that come nevertheless are answered."
    )

    max_effort: int = Field(
        2,
        ge=0,
        le=Rate.MOST_EFFORT,
        description="Largest effort that a request may ask for: effort costs time.",
    )

    spool: Path | None = Field(
        None,
        description="Folder that keeps encoded frames of cameras on disk until the decoder has them; EncodeStream "
        "sends on only with it and an uplink.",
    )
    spool_max_bytes: int = Field(10**9, ge=10**5, le=10**14, description="Most bytes of frames in the spool.")
    spool_max_age_hours: float = Field(168.0, gt=0, le=87_600, description="Oldest frame in the spool.")
    spool_min_free_bytes: int = Field(
        256 * 2**20, ge=0, le=10**14, description="Bytes that stay free on the spool's disk."
    )
    spool_policy: Policy = Field(
        Policy.DROP_OLDEST, description="What goes at a limit: drop_oldest, drop_newest or thin."
    )
    spool_key_file: Path | None = Field(
        None,
        description="File with 32 bytes, or 64 hexadecimal digits, that encrypt the spool; empty is no encryption.",
    )
    uplink_bits_per_second: float = Field(
        0.0, ge=0, le=1e11, description="Rate of the link to the decoder, which streams keep to; 0 is unknown."
    )
    backlog_share: float = Field(
        0.5, ge=0, le=1, description="Share of the link for frames of an outage while live ones wait."
    )
    frame_seconds: float = Field(120.0, gt=0, le=3600, description="Longest time for encoding one frame of a stream.")

    @model_validator(mode="after")
    def _check_spool(self) -> Self:
        if self.spool is not None and not self.uplink:
            prefix = type(self).model_config["env_prefix"]
            raise ValueError(f"{prefix}SPOOL needs {prefix}UPLINK: what would empty it?")
        return self

    @field_validator("uplink")
    @classmethod
    def _check_uplink(cls, uplink: str) -> str:
        return check_target(uplink) if uplink else uplink

    @model_validator(mode="after")
    def _check_token(self) -> Self:
        if self.uplink_token_file is not None and not self.uplink_tls:
            prefix = type(self).model_config["env_prefix"]
            raise ValueError(f"{prefix}UPLINK_TOKEN_FILE needs {prefix}UPLINK_TLS: tokens never travel in plain text")
        return self
