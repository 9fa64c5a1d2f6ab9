"""Every error that reading a picture may end with, as one tree.

::

    PictureError
      PictureFormatError     not one of the formats that are read
      PictureDamagedError    the bytes are not what their format promises
      PictureLimitError      sound, but larger or more work than is accepted
      SamplesError           sound, but of a kind that a bitstream does not carry
        DepthError           more than 8 bits a sample
        TransparencyError    transparent pixels, and no background to lay them on
        AnimationError       several frames
      BackgroundError        the background is no colour

A message says what was wrong, the value that came, what is accepted, and the cure.
"""


class PictureError(Exception):
    """Root of everything this package raises on purpose."""


class PictureFormatError(PictureError):
    """The bytes are not one of the formats that are read."""


class PictureDamagedError(PictureError):
    """The bytes are not what their format promises."""


class PictureLimitError(PictureError):
    """Well formed, but larger or more work than is accepted."""


class SamplesError(PictureError):
    """Well formed, but of a kind that a bitstream does not carry."""


class DepthError(SamplesError):
    """The picture has more than 8 bits a sample."""


class TransparencyError(SamplesError):
    """The picture has transparent pixels, and there is no background to lay them on."""


class AnimationError(SamplesError):
    """The picture has several frames."""


class BackgroundError(PictureError):
    """The background is no colour."""
