"""The file of cameras: what each is, what it may spend, and what is asked about its frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from manypath_camera.errors import ConfigurationError
from manypath_camera.retention import Limits, Policy

MOST_EFFORT = 3  # of the codec, which cameras do not import
MOST_CAMERAS = 64  # their names are labels of metrics
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def _size(value: object) -> object:
    """Return bytes of 500, "20 kB", "1.5 GB" or "64 MiB"."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return value
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** _POWERS[match[2].lower()])


Bytes = Annotated[int, BeforeValidator(_size)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LinkRate(_Part):
    """A link's rate, and how long one frame may take on it."""

    bits_per_second: float = Field(gt=0, le=1e11)
    max_delay_seconds: float = Field(2.0, gt=0, le=3600)


class RateConfiguration(_Part):
    """What frames may spend: one of these, and how much time the encoder may spend on each."""

    quality: float | None = Field(None, ge=1, le=8)
    max_bytes: Bytes | None = Field(None, ge=100)
    bpp: float | None = Field(None, gt=0, le=24)
    link: LinkRate | None = None
    daily_quota: Bytes | None = Field(None, ge=100_000)
    effort: int = Field(0, ge=0, le=MOST_EFFORT, description="Time that the encoder spends on better latents.")

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        kinds = [name for name in type(self).model_fields if name != "effort"]
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            names = ", ".join(kinds)
            raise ValueError(f"a rate is exactly one of {names}; got {', '.join(given) or 'none'}")
        return self

    @property
    def is_shared(self) -> bool:
        """Whether all cameras without a rate of their own spend from it together."""
        return self.link is not None or self.daily_quota is not None


class SpoolConfiguration(_Part):
    """What is kept on disk while the encoder is away."""

    max_bytes: Bytes = Field(10**9, ge=100_000)
    max_age_hours: float = Field(168.0, gt=0)
    min_free_bytes: Bytes = Field(256 * 2**20, ge=0)
    policy: Policy = Policy.DROP_OLDEST
    key_file: Path | None = None

    def limits(self) -> Limits:
        """Return them as the spool takes them."""
        return Limits(self.max_bytes, 3600 * self.max_age_hours, self.min_free_bytes, self.policy)


class ObjectsConfiguration(_Part):
    """What a camera's frames must show to be sent at its rate, as a detector on this machine sees them."""

    classes: tuple[str, ...] = Field(min_length=1, description="Names of the detector's classes; one is enough.")
    min_score: Share = Field(0.3, description="Of what is found.")
    linger: float = Field(
        2.0, ge=0, le=86_400, description="Seconds for which frames are sent after the last one that showed it."
    )
    otherwise: RateConfiguration | None = Field(
        None, description="What a frame that shows none of it may spend: quality, max_bytes or bpp; absent: not sent."
    )

    @field_validator("otherwise")
    @classmethod
    def _check_otherwise(cls, otherwise: RateConfiguration | None) -> Any:
        if otherwise is not None and otherwise.is_shared:
            raise ValueError(
                "otherwise is a quality, max_bytes or bpp of each frame: they spend from the camera's rate"
            )
        return otherwise


class CameraConfiguration(_Part):
    """One camera."""

    source: str = Field(min_length=1)
    every: float = Field(1.0, ge=0.01, le=86_400, description="Seconds between two frames; of a folder, every file.")
    on_change: Share = Field(0.0, description="Share of the picture that must have changed since the last frame sent.")
    at_least_every: float = Field(
        0.0, ge=0, le=86_400, description="Seconds after which a frame is sent though nothing changed or was found."
    )
    objects: ObjectsConfiguration | None = None
    rate: RateConfiguration | None = None
    turn: int = Field(0, description="Degrees clockwise: 0, 90, 180, 270.")
    crop: tuple[Share, Share, Share, Share] | None = None
    masks: tuple[tuple[tuple[Share, Share], ...], ...] = ()
    tasks: tuple[str, ...] | None = None
    pictures: tuple[str, ...] | None = None
    key_frames: bool = True
    silence_seconds: float = Field(15.0, ge=0.5, le=3600)
    after: str = Field("keep", pattern="^(keep|delete)$")

    @field_validator("turn")
    @classmethod
    def _check_turn(cls, turn: int) -> int:
        if turn not in {0, 90, 180, 270}:
            raise ValueError(f"turn is 0, 90, 180 or 270, got {turn}")
        return turn

    @field_validator("masks")
    @classmethod
    def _check_masks(cls, masks: tuple[tuple[tuple[float, float], ...], ...]) -> Any:
        if any(len(polygon) < 3 for polygon in masks):
            raise ValueError("a mask is a polygon of at least three points [x, y], shares of the picture")
        return masks

    @field_validator("crop")
    @classmethod
    def _check_crop(cls, crop: tuple[float, float, float, float] | None) -> Any:
        if crop is not None and not (crop[0] < crop[2] and crop[1] < crop[3]):
            raise ValueError(f"crop is [left, top, right, bottom] with left < right and top < bottom, got {list(crop)}")
        return crop


class Configuration(_Part):
    """The whole file."""

    encoder: str = "localhost:50051"
    spool: SpoolConfiguration = Field(default_factory=lambda: SpoolConfiguration.model_validate({}))
    rate: RateConfiguration = Field(default_factory=lambda: RateConfiguration.model_validate({"quality": 4.0}))
    tasks: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    answers: bool = Field(
        False, description="Whether answers come back to this machine; result sinks have them anyway."
    )
    backlog_share: Share = 0.5
    detector: Path | None = Field(
        None,
        description="Folder of the detector that cameras with `objects` look with; by default the cache's nanodet-g.",
    )
    cameras: Mapping[str, CameraConfiguration] = Field(default_factory=dict)

    @field_validator("cameras")
    @classmethod
    def _check_cameras(cls, cameras: Mapping[str, CameraConfiguration]) -> Mapping[str, CameraConfiguration]:
        if len(cameras) > MOST_CAMERAS:
            raise ValueError(f"at most {MOST_CAMERAS} cameras, got {len(cameras)}")
        for name in cameras:
            if _NAME.fullmatch(name) is None:
                raise ValueError(f"a camera's name is 1..64 letters, digits, ., - and _; got {name!r}")
        return cameras

    @model_validator(mode="after")
    def _check_otherwise(self) -> Self:
        for name, camera in self.cameras.items():
            otherwise = camera.objects.otherwise if camera.objects is not None else None
            if otherwise is not None and otherwise.quality is not None and (camera.rate or self.rate).is_shared:
                raise ValueError(
                    f"cameras.{name}.objects.otherwise is a quality, which may cost more than a link or a quota has "
                    "left; give max_bytes or bpp"
                )
        return self


def read_configuration(content: str, shown: str) -> Configuration:
    """Return what a file says.

    Args:
        content: YAML.
        shown: the file's name, for errors.

    Raises:
        ConfigurationError: it is no YAML, or asks for what does not exist; every mistake is named.
    """
    import yaml

    try:
        parsed = yaml.safe_load(content)
    except yaml.YAMLError as err:
        raise ConfigurationError(f"{shown} is no YAML: {err}") from err
    if not isinstance(parsed, dict):
        raise ConfigurationError(f"{shown} must hold names and values, as 'cameras:'; got {type(parsed).__name__}")
    try:
        return Configuration.model_validate(parsed)
    except ValidationError as err:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}" for problem in err.errors()
        )
        raise ConfigurationError(f"{shown}: {problems}") from err


class WatchedFile:
    """A file that is read again when it changes.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None

    def read(self) -> Configuration:
        """Return what the file says now.

        Raises:
            ConfigurationError: it cannot be read or used.
        """
        try:
            status = self._path.stat()  # before reading: a change in between is seen at the next look
            self._stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            content = self._path.read_text()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigurationError(f"cannot read {self._path}: {err}") from err
        return read_configuration(content, str(self._path))

    def changed(self) -> bool:
        """Return whether it has changed since it was read."""
        try:
            status = self._path.stat()
        except OSError:
            return False  # an editor is replacing it
        return (status.st_ino, status.st_mtime_ns, status.st_size) != self._stamp
