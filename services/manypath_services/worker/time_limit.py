"""A time limit on a network's run: a model with an endless loop would otherwise block its worker for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import onnxruntime

from manypath_services.common.errors import AbandonedError, ExpiredError
from manypath_services.common.lane import nobody_waits_here

_LOOK_SECONDS = 0.1


@contextmanager
def limited(name: str, seconds: float) -> Iterator[onnxruntime.RunOptions]:
    """Give options for one run, which ends it soon after ``seconds``, or when nobody waits for it any more.

    onnxruntime looks between two nodes of the graph, inside of loops as well.

    Args:
        name: of the model.
        seconds: that the run may take.

    Raises:
        ExpiredError: it took longer.
        AbandonedError: nobody waited.
    """
    options = onnxruntime.RunOptions()
    nobody_waits = nobody_waits_here()
    until = time.monotonic() + seconds
    over = threading.Event()
    reasons: list[Exception] = []

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            if time.monotonic() > until:
                reasons.append(ExpiredError(f"model {name!r} took more than {seconds:g} s and was ended"))
            elif nobody_waits():
                reasons.append(AbandonedError("nobody waits for this any more"))
            if reasons:
                options.terminate = True
                return

    watching = threading.Thread(target=watch, name="limit", daemon=True)
    watching.start()
    try:
        yield options
    except Exception as err:
        if reasons:
            raise reasons[0] from err
        raise
    finally:
        over.set()
