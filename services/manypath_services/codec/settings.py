"""What encoder and decoder can be told, beside what every service can."""

from __future__ import annotations

from pydantic import Field

from manypath_pictures.reader import SERVICE_MAX_PIXELS
from manypath_services.common.settings import ServiceSettings


class CodecSettings(ServiceSettings):
    """What encoder and decoder can be told beside that."""

    model: str = Field("edge", min_length=1, description="Shipped model's name, or a .safetensors file.")
    device: str = Field(
        "cpu",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="Where the network runs; auto is a GPU where there is one, else the CPU.",
    )
    dtype: str = Field(
        "auto",
        pattern="^(auto|float32|bfloat16)$",
        description="Numbers of the transforms; auto is bfloat16 where the device multiplies it.",
    )
    max_pixels: int = Field(SERVICE_MAX_PIXELS, ge=1, le=2**28, description="Largest width times height of a picture.")
    express_pixels: int = Field(
        2**18,
        ge=0,
        description="Pictures of at most so many pixels have a thread and a copy of the model of their own, and need "
        "not wait for large ones; 0 saves that memory.",
    )
    selfcheck_linger_seconds: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="Seconds that a server whose self-check failed stays, never ready, so that the metric is seen.",
    )
