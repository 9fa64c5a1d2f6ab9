"""What the console can be told: ``MANYPATH_CONSOLE_*``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from manypath_services.common.client import check_target
from manypath_services.common.settings import ServiceSettings, is_loopback, settings_for

_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


class ConsoleSettings(ServiceSettings):
    """The console's settings; those that every service has are in ``ServiceSettings``."""

    model_config = settings_for("console")

    port: int = Field(8080, ge=0, le=65535, description="HTTP port of the pages; 0 takes a free one.")
    metrics_port: int = Field(9105, ge=0, le=65535, description="HTTP port of /metrics; 0 takes a free one.")
    names: tuple[str, ...] = Field(
        (),
        description="Host names that browsers may ask for, as a JSON list; another site's page cannot then reach the "
        "console by a name of its own. Empty: localhost and its addresses on the loopback interface, else any.",
    )
    encoder: str = Field("localhost:50051", min_length=1, description='The encoder, "host:port".')
    decoder: str = Field("localhost:50052", min_length=1, description='The decoder, "host:port".')
    services_tls: bool = Field(
        False,
        description="Reach encoder and decoder by TLS: their certificates must come from tls_ca; ours is shown.",
    )
    services_token_file: Path | None = Field(
        None, description="File that holds the token that encoder and decoder want; needs TLS."
    )
    prometheus: str = Field("", description="Prometheus, e.g. http://localhost:9090; empty leaves the charts out.")
    grafana: str = Field("", description="Grafana, for a link to it, e.g. http://localhost:3000.")
    timeout_seconds: float = Field(30.0, gt=0, le=600, description="Longest wait for one call to a service.")
    max_upload_bytes: int = Field(
        32 * 2**20, ge=2**16, le=2**31 - 1, description="Largest picture file that a browser may send."
    )
    max_pixels: int = Field(2**26, ge=1, le=2**28, description="Largest width times height of a picture.")
    kept_bytes: int = Field(
        512 * 2**20,
        ge=2**24,
        description="Memory for pictures and what was made of them; the longest unseen go first.",
    )
    kept_seconds: float = Field(
        3600.0, gt=0, description="Seconds after which a picture that nobody looks at is let go."
    )
    processes: int = Field(
        1, ge=1, le=64, description="Processes that write JPEG, WebP and AVIF beside our streams, for comparison."
    )
    curves_limit: int = Field(4, ge=1, le=64, description="Rate curves that may wait or run at a time.")

    @field_validator("encoder", "decoder")
    @classmethod
    def _check_address(cls, target: str) -> str:
        return check_target(target)

    @field_validator("prometheus", "grafana")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if url and _URL.fullmatch(url) is None:
            raise ValueError(f"must be empty or a URL such as http://localhost:9090, got {url!r}")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _check_services_token(self) -> Self:
        if self.services_token_file is not None and not self.services_tls:
            prefix = type(self).model_config["env_prefix"]
            raise ValueError(
                f"{prefix}SERVICES_TOKEN_FILE needs {prefix}SERVICES_TLS: tokens never travel in plain text"
            )
        return self

    @property
    def accepted_names(self) -> tuple[str, ...]:
        """Host names that requests may carry; ("*",) takes any."""
        if self.names:
            return self.names
        return ("localhost", "127.0.0.1", "[::1]") if is_loopback(self.host) else ("*",)
