"""Settings from ``MANYPATH_<SERVICE>_*``: an unknown key or a bad value stops start-up and says why."""

from __future__ import annotations

import difflib
import ipaddress
import os
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from manypath_services.common.address import listening_host

MESSAGE_BYTES = 64 * 2**20  # pictures do not fit gRPC's default of 4 MiB


class SettingsError(Exception):
    """The environment asks for something that this service does not know or cannot do."""


class CertificateFiles(NamedTuple):
    """Where an identity and the trust in others are, each a PEM file.

    Attributes:
        certificate: the own certificate, followed by those between it and its authority; None is anonymous.
        key: its private key, without a pass phrase.
        ca: the authorities that others' certificates must come from; None is those of the system.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None


class ServiceSettings(BaseSettings):
    """What every service can be told.

    A subclass names its prefix with ``model_config = settings_for("encoder")``; ``MANYPATH_ENCODER_PORT``
    then sets ``port``. Lists and mappings are written as JSON.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address that the server listens on; another than this machine's own needs TLS, or insecure.",
    )
    port: int = Field(0, ge=0, le=65535, description="gRPC port; 0 takes a free one.")
    metrics: bool = Field(True, description="Whether there is an HTTP port with /metrics, /ready and /live.")
    metrics_host: str = Field("127.0.0.1", min_length=1, description="Address of that port; it is always plain HTTP.")
    metrics_port: int = Field(0, ge=0, le=65535, description="HTTP port of /metrics; 0 takes a free one.")
    reflection: bool = Field(True, description="Whether callers may ask which services and messages there are.")
    insecure: bool = Field(
        False, description="Listen beyond this machine without TLS: whoever reaches the port may call and listen in."
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file of this service's certificate, those between it and its authority behind it."
    )
    tls_key: Path | None = Field(None, description="PEM file of its private key, without a pass phrase.")
    tls_ca: Path | None = Field(
        None, description="PEM file of the authorities that others' certificates must come from; none is the system's."
    )
    tls_require_client: bool = Field(False, description="Whether callers must show a certificate from tls_ca.")
    token_file: Path | None = Field(
        None, description="File of callers' names and hashed tokens, one of which each call must then bring."
    )
    caller_rate: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Calls a second of one caller, named by certificate or token; twice as many at once; 0 is any.",
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level logged.")
    threads: int = Field(1, ge=1, le=256, description="Threads of one inference.")
    queue_limit: int = Field(
        256, ge=1, le=10_000, description="Requests that may wait for compute; more are shed with a pushback."
    )
    queue_pixels: int = Field(
        2**26,
        ge=1,
        description="Pixels, or elements of tensors, that may wait for compute; a single request always may.",
    )
    batch_limit: int = Field(
        16, ge=1, le=1024, description="Waiting requests that are computed together at most; 1 computes each alone."
    )
    batch_pixels: int = Field(2**20, ge=1, description="Pixels, or elements of tensors, of such a batch at most.")
    pushback_seconds: float = Field(
        0.2, gt=0, le=60, description="Least seconds after which a shed request is asked to come again."
    )
    drain_seconds: float = Field(
        2.0,
        ge=0,
        le=600,
        description="Seconds of NOT_SERVING before a stopping server refuses calls: clients move away.",
    )
    grace_seconds: float = Field(30.0, ge=0, le=600, description="Seconds that accepted requests then have to finish.")
    max_message_bytes: int = Field(
        MESSAGE_BYTES, ge=2**16, le=2**31 - 1, description="Largest message either way, in bytes."
    )
    max_request_bytes: int = Field(
        0, ge=0, le=2**31 - 1, description="Largest message that comes in, in bytes; 0 is max_message_bytes."
    )
    held_bytes: int = Field(
        2**27, ge=2**16, description="Bytes of requests that may be held at once; more are refused with a pushback."
    )
    body_seconds: float = Field(
        60.0, gt=0, le=3600, description="Seconds that a request's message may take to arrive once it has a place."
    )
    max_calls: int = Field(
        1024, ge=1, le=100_000, description="Calls under way at once, health and those still arriving not counted."
    )

    @field_validator("host", "metrics_host")
    @classmethod
    def _check_host(cls, host: str) -> str:
        return listening_host(host)

    @field_validator("*", mode="before")
    @classmethod
    def _check_path(cls, value: object, info: ValidationInfo) -> object:
        """Refuse an empty path: it would be the current folder."""
        if value == "" and "Path" in str(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError("is empty; unset it, or name a file or folder (the current one is .)")
        return value

    tracing: str = Field(
        "",
        pattern=r"^(https?://[^\s/]+:\d{1,5})?$",
        description='OpenTelemetry collector that spans go to, "http://host:4317" or https; empty keeps none.',
    )
    tracing_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the traces begun here that are kept; others follow their caller's choice.",
    )

    @property
    def certificate_files(self) -> CertificateFiles:
        """Where this service's identity is, and whom it trusts."""
        return CertificateFiles(self.tls_certificate, self.tls_key, self.tls_ca)

    @model_validator(mode="after")
    def _check_exposure(self) -> Self:
        prefix = type(self).model_config["env_prefix"]
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(f"{prefix}TLS_CERTIFICATE and {prefix}TLS_KEY belong together; set both, or neither")
        if self.tls_require_client and (self.tls_ca is None or self.tls_certificate is None):
            raise ValueError(
                f"{prefix}TLS_REQUIRE_CLIENT needs {prefix}TLS_CA, whose certificates are accepted, and "
                f"{prefix}TLS_CERTIFICATE with its key"
            )
        if self.tls_certificate is None and not is_loopback(self.host):
            if not self.insecure:
                raise ValueError(
                    f"{prefix}HOST={self.host} is reachable from other machines, and calls would travel in plain text; "
                    f"set {prefix}TLS_CERTIFICATE and {prefix}TLS_KEY, or {prefix}INSECURE=true where the network "
                    "itself keeps others away"
                )
            if self.token_file is not None:
                raise ValueError(
                    f"{prefix}TOKEN_FILE with {prefix}INSECURE would send tokens in plain text; set "
                    f"{prefix}TLS_CERTIFICATE and {prefix}TLS_KEY"
                )
        return self

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Read the environment.

        Args:
            overrides: fields that win over the environment, as a command line's options do.

        Raises:
            SettingsError: an unknown key or a bad value; the message names each, and what is accepted.
        """
        prefix = cls.model_config["env_prefix"]
        known = {f"{prefix}{name}".upper() for name in cls.model_fields}
        unknown = sorted(name for name in os.environ if name.upper().startswith(prefix) and name.upper() not in known)
        if unknown:
            raise SettingsError("; ".join(_unknown(name, known) for name in unknown))
        try:
            return cls(**overrides)  # type: ignore[arg-type]  # pydantic checks them
        except ValidationError as err:
            raise SettingsError("; ".join(_problem(prefix, problem) for problem in err.errors())) from err
        except ValueError as err:  # a mapping that is not JSON
            raise SettingsError(f"{err}: {err.__cause__}") from err


def settings_for(service: str) -> SettingsConfigDict:
    """Return the configuration of a service's settings class."""
    return SettingsConfigDict(env_prefix=f"MANYPATH_{service.upper()}_", frozen=True, extra="forbid")


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _problem(prefix: str, problem: ErrorDetails) -> str:
    if not problem["loc"]:  # of several settings together: the message names them
        return problem["msg"].removeprefix("Value error, ")
    return f"{prefix}{'.'.join(map(str, problem['loc'])).upper()}: {problem['msg']}, got {problem['input']!r}"


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name.upper(), known, 1)
    cure = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
    return f"{name} is not a setting; {cure}"
