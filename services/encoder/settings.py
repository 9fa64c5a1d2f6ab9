"""What the encoder can be told: ``MANYPATH_ENCODER_*``."""

from __future__ import annotations

from pydantic import Field

from services.common.settings import ServiceSettings, settings_for


class EncoderSettings(ServiceSettings):
    """The encoder's settings; those that every service has are in ``ServiceSettings``."""

    model_config = settings_for("encoder")

    port: int = Field(50051, ge=0, le=65535, description="gRPC port; 0 takes a free one.")
    metrics_port: int = Field(9101, ge=0, le=65535, description="HTTP port of /metrics; 0 takes a free one.")
    model: str = Field("edge", min_length=1, description="Shipped model's name, or a .safetensors file.")
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="Where the network runs.")
    dtype: str = Field("float32", pattern="^(float32|bfloat16)$", description="Numbers of the transforms.")
    max_pixels: int = Field(2**26, ge=1, le=2**28, description="Largest width times height accepted.")
    uplink: str = Field("", description='Decoder that Process forwards to, "host:port"; empty is none.')
    uplink_timeout_seconds: float = Field(
        30.0, gt=0, le=600, description="Longest wait for the decoder; the caller's deadline may be earlier."
    )
