"""Every error the codec raises on purpose, as one tree.

::

    ManypathError
      ConfigError               the model configuration contradicts itself
      CheckpointError           a file is missing, or its keys or digest do not match
      RequestError              the caller asked for the impossible
        ImageError QualityError PathError BudgetError EffortError
      BitstreamError            the bytes are not what they claim to be
        FormatError             not our magic, version, flags, or a table that lies
        TruncatedError          fewer bytes than the header promises
        LimitError              honest, but larger than this decoder accepts
        CorruptError            the container's checksum differs
        ModelMismatchError      written by another model
        DesyncError             the decoded symbols fail their checksum

A message says what was wrong, the value that came, what is accepted, and the cure.
"""


class ManypathError(Exception):
    """Root of everything this package raises on purpose."""


class ConfigError(ManypathError):
    """The model configuration contradicts itself."""


class CheckpointError(ManypathError):
    """A checkpoint is missing, unreadable, or its keys or digest do not match."""


class RequestError(ManypathError):
    """The caller asked for something that cannot be done."""


class ImageError(RequestError):
    """The picture has a shape, type or size that the codec does not take."""


class QualityError(RequestError):
    """The quality is not a number in the accepted range."""


class PathError(RequestError):
    """The path or task share is not one that exists."""


class BudgetError(RequestError):
    """The byte budget cannot be met at any quality."""


class EffortError(RequestError):
    """The effort is not one that the encoder has, or that the model takes."""


class BitstreamError(ManypathError):
    """The bytes are not what they claim to be."""


class FormatError(BitstreamError):
    """Wrong magic, version or flags, or fields that contradict each other."""


class TruncatedError(BitstreamError):
    """Fewer bytes than the header promises."""


class LimitError(BitstreamError):
    """Well formed, but larger than this decoder accepts."""


class CorruptError(BitstreamError):
    """The container's checksum differs: bytes were damaged on the way."""


class ModelMismatchError(BitstreamError):
    """The stream was written by another model than the one that is loaded."""


class DesyncError(BitstreamError):
    """The decoded symbols fail their checksum: both ends computed different entropy parameters."""
