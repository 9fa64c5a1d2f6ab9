"""Settings from ``MANYPATH_<SERVICE>_*``: an unknown key or a bad value stops start-up and says why."""

from __future__ import annotations

import difflib
import os
from typing import Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

MESSAGE_BYTES = 64 * 2**20  # pictures do not fit gRPC's default of 4 MiB


class SettingsError(Exception):
    """The environment asks for something that this service does not know or cannot do."""


class ServiceSettings(BaseSettings):
    """What every service can be told.

    A subclass names its prefix with ``model_config = settings_for("encoder")``; ``MANYPATH_ENCODER_PORT``
    then sets ``port``. Lists and mappings are written as JSON.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    host: str = Field("0.0.0.0", min_length=1, description="Address that the server listens on.")  # noqa: S104
    port: int = Field(0, ge=0, le=65535, description="gRPC port; 0 takes a free one.")
    metrics_port: int = Field(0, ge=0, le=65535, description="HTTP port of /metrics; 0 takes a free one.")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level logged.")
    threads: int = Field(1, ge=1, le=256, description="Threads of one inference.")
    queue_limit: int = Field(
        32, ge=1, le=10_000, description="Requests that may wait for compute; more are shed with a pushback."
    )
    pushback_seconds: float = Field(
        0.2, gt=0, le=60, description="Seconds after which a shed request is asked to come again."
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
            problems = (
                f"{prefix}{'.'.join(map(str, problem['loc'])).upper()}: {problem['msg']}, got {problem['input']!r}"
                for problem in err.errors()
            )
            raise SettingsError("; ".join(problems)) from err
        except ValueError as err:  # a mapping that is not JSON
            raise SettingsError(f"{err}: {err.__cause__}") from err


def settings_for(service: str) -> SettingsConfigDict:
    """Return the configuration of a service's settings class."""
    return SettingsConfigDict(env_prefix=f"MANYPATH_{service.upper()}_", frozen=True, extra="forbid")


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name.upper(), known, 1)
    cure = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
    return f"{name} is not a setting; {cure}"
