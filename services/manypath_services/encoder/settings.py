"""What the encoder can be told: ``MANYPATH_ENCODER_*``."""

from __future__ import annotations

from pydantic import Field, field_validator

from manypath_services.codec.settings import CodecSettings
from manypath_services.common.client import check_target
from manypath_services.common.settings import settings_for


class EncoderSettings(CodecSettings):
    """The encoder's settings; those that every service has are in ``CodecSettings``."""

    model_config = settings_for("encoder")

    port: int = Field(50051, ge=0, le=65535, description="gRPC port; 0 takes a free one.")
    metrics_port: int = Field(9101, ge=0, le=65535, description="HTTP port of /metrics; 0 takes a free one.")
    uplink: str = Field("", description='Decoder that Process forwards to, "host:port"; empty is none.')
    uplink_timeout_seconds: float = Field(
        30.0, gt=0, le=600, description="Longest wait for the decoder; the caller's deadline may be earlier."
    )

    @field_validator("uplink")
    @classmethod
    def _check_uplink(cls, uplink: str) -> str:
        return check_target(uplink) if uplink else uplink
