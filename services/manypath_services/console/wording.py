"""Numbers as people read them."""

from __future__ import annotations

import math


def size(count: float) -> str:
    """Return bytes: "19,616 bytes" below a hundred thousand, then "1.24 MB"."""
    if count < 100_000:
        return f"{count:,.0f} bytes"
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB"
    return f"{count / 1_000_000:.2f} MB"


def decibels(value: float) -> str:
    """Return a PSNR."""
    return "no difference" if math.isinf(value) else f"{value:.2f} dB"


def milliseconds(seconds: float) -> str:
    """Return a duration in ms."""
    return f"{1000 * seconds:,.1f} ms" if seconds < 0.0995 else f"{1000 * seconds:,.0f} ms"


def percent(share: float) -> str:
    """Return a share of 0..1, with as many digits as tell something."""
    value = 100 * share
    return f"{value:.2f} %" if value < 1 else f"{value:.1f} %" if value < 10 else f"{value:.0f} %"


def stage(name: str) -> str:
    """Return a stage's name in words."""
    return name.replace("_", " ")


def duration(seconds: float) -> str:
    """Return a time span: "0.4 s", "12 s", "3 min", "2 h"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7170 else f"{seconds / 3600:.0f} h"
