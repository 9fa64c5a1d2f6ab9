"""What can go wrong between a camera and its encoder, as one tree.

::

    CameraError
      ConfigurationError   the file of cameras asks for something that does not exist or cannot be
      SourceError          a camera cannot be reached, ended, or delivers no picture
      SpoolError           the spool cannot be opened or used
        SpoolLockedError   another process owns it
        SpoolKeyError      it is encrypted with another key, or with none
      SequenceError        a sender's sequence numbers contradict themselves
"""


class CameraError(Exception):
    """Root of everything this package raises on purpose."""


class ConfigurationError(CameraError):
    """The file of cameras asks for something that does not exist or cannot be."""


class SourceError(CameraError):
    """A camera cannot be reached, ended, or delivers no picture."""


class SpoolError(CameraError):
    """The spool cannot be opened or used."""


class SpoolLockedError(SpoolError):
    """Another process owns the spool."""


class SpoolKeyError(SpoolError):
    """The spool is encrypted with another key, or with none where one was given."""


class SequenceError(CameraError):
    """A sender's sequence numbers contradict themselves."""
