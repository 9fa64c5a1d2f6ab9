"""One camera at work: its newest frame, when that is due, prepared, within the budget, goes to the spool."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.budget import Budget, Grant, no_more_than
from manypath_camera.clock import clock_is_synchronised
from manypath_camera.configuration import CameraConfiguration
from manypath_camera.errors import CameraError, SourceError
from manypath_camera.frames import Captured, Image, NewestFrame
from manypath_camera.preparation import ChangeDetector, Preparation, as_message, read_frame
from manypath_camera.sources.files import FolderSource
from manypath_camera.sources.source import open_source
from manypath_camera.spool import Spool
from manypath_camera.supervisor import Supervisor

_log = logging.getLogger(__name__)
_PATIENCE_SECONDS = 0.2  # between two looks at whether the camera was removed
_MOST_WAITING = 4  # of one camera's live frames, taken and not yet encoded: more would only grow old


class Outcome(StrEnum):
    """What became of a frame that was due."""

    TAKEN = "taken"
    PLAIN = "plain"  # taken as well, at the rate of frames that show nothing
    UNCHANGED = "unchanged"
    BEHIND = "behind"
    BUDGET = "budget"
    FILTERED = "filtered"
    BROKEN = "broken"
    SPOOL = "spool"


class FrameFilter(Protocol):
    """Decides at the edge whether a frame is worth its bits: the plug point of detectors."""

    def wants(self, camera: str, image: Image) -> bool:
        """Return whether a frame, uint8 [H, W, 3], is worth the camera's rate; if not, it is sent for less or not."""


FrameTracer = Callable[[pb.FrameHeader], AbstractContextManager[None]]
"""Surrounds the keeping of a frame, and may name its trace in the header: the plug point of tracing."""


def untraced(_: pb.FrameHeader) -> AbstractContextManager[None]:
    """Trace nothing; see ``FrameTracer``."""
    return nullcontext()


class Taken(NamedTuple):
    """A frame that is in the spool.

    Attributes:
        camera: whose it is.
        grant: what it may spend.
        budget: that the grant came from.
        original_bytes: of the file as it came; of pixels, as samples.
        captured: seconds of the monotonic clock.
    """

    camera: str
    grant: Grant
    budget: Budget
    original_bytes: int
    captured: float


class Camera:
    """Runs one camera until it is stopped.

    Args:
        name: of the camera.
        configuration: of the camera.
        budget: what its frames may spend.
        budget_key: under which the budget's state is remembered.
        wishes: what is asked about its frames.
        spool: where its frames go.
        waiting: returns how many live frames of this camera are waiting to be encoded.
        on_taken: told of each frame in the spool, by its sequence.
        frame_filter: has a say in what is sent; None is no filter.
        tracer: names the traces of its frames.

    Attributes:
        slot: its newest frame.
        supervisor: of its source.
        outcomes: how many frames that were due became what.
    """

    def __init__(
        self,
        name: str,
        configuration: CameraConfiguration,
        *,
        budget: Budget,
        budget_key: str,
        wishes: pb.FrameWishes,
        spool: Spool,
        waiting: Callable[[str], int],
        on_taken: Callable[[int, Taken], None],
        frame_filter: FrameFilter | None = None,
        otherwise: pb.Rate | None = None,
        tracer: FrameTracer = untraced,
    ) -> None:
        self.name = name
        self.configuration = configuration
        self.budget = budget
        self.slot = NewestFrame()
        self.outcomes: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
        self._budget_key = budget_key
        self._wishes = wishes
        self._spool = spool
        self._waiting = waiting
        self._on_taken = on_taken
        self._filter = frame_filter
        self._otherwise = otherwise
        self._tracer = tracer
        self._preparation = Preparation(configuration.turn, configuration.crop, configuration.masks)
        self._changes = ChangeDetector(configuration.on_change) if configuration.on_change else None
        self._sent_at = float("-inf")
        self._last_problem = ""
        self._stop = threading.Event()
        self._source = open_source(
            configuration.source,
            timeout_seconds=configuration.silence_seconds,
            every_seconds=configuration.every,
            key_frames=configuration.key_frames,
            after=configuration.after,
        )
        if isinstance(self._source, FolderSource):
            self._source.go_on_after(str(spool.recall(self._cursor_key).get("cursor", "")))
        silence = None if self._source.lossless else configuration.silence_seconds + configuration.every
        self.supervisor = Supervisor(name, self._source, self.slot, silence_seconds=silence)
        self._thread = threading.Thread(target=self._run, name=f"taker-{name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; frames in the spool stay there."""
        self._stop.set()
        self.supervisor.stop()
        self._thread.join(10)

    @property
    def _cursor_key(self) -> str:
        return f"cursor:{self.name}:{self.configuration.source}"

    def _run(self) -> None:
        next_at = time.monotonic()
        while not self._stop.is_set():
            wait = next_at - time.monotonic()
            if wait > 0 and not self._source.lossless:
                self._stop.wait(min(wait, _PATIENCE_SECONDS))
                continue
            frame = self.slot.take(_PATIENCE_SECONDS)
            if frame is None:
                continue
            # the beat is kept where the camera keeps up, and begins anew where it does not
            next_at = max(next_at + self.configuration.every, time.monotonic() - self.configuration.every)
            try:
                outcome = self._take(frame)
                while outcome in {Outcome.BEHIND, Outcome.BUDGET} and self._source.lossless:
                    if self._stop.wait(_PATIENCE_SECONDS):
                        return
                    outcome = self._take(frame)
            except CameraError as err:
                outcome = Outcome.BROKEN if isinstance(err, SourceError) else Outcome.SPOOL
                self._tell(str(err))
            self.outcomes[outcome] += 1

    def _take(self, frame: Captured) -> Outcome:
        if self._waiting(self.name) >= _MOST_WAITING:
            return Outcome.BEHIND
        picture = frame.picture
        original_bytes = len(picture) if isinstance(picture, bytes) else picture.nbytes
        plain: pb.Rate | None = None
        pixels = 0
        needs_pixels = self._changes is not None or self._filter is not None or not self._preparation.changes_nothing
        if needs_pixels:
            image = self._preparation.apply(read_frame(picture))
            due = self._is_due_anyway()
            if self._changes is not None and not due and not self._changes.changed(image):
                return Outcome.UNCHANGED
            if self._filter is not None and not self._filter.wants(self.name, image):
                plain, pixels = self._otherwise, image.shape[0] * image.shape[1]
                if plain is None and not due:
                    return Outcome.FILTERED
            if not self._preparation.changes_nothing or isinstance(picture, np.ndarray):
                picture = image
        grant = self.budget.grant(time.monotonic())
        if grant is None:
            return Outcome.BUDGET
        if plain is not None:
            grant = no_more_than(grant, plain, pixels)
        outcome = self._put(
            frame, as_message(picture), grant, original_bytes, lowest=grant.reserved > 0 or plain is not None
        )
        return Outcome.PLAIN if outcome is Outcome.TAKEN and plain is not None else outcome

    def _put(self, frame: Captured, picture: pb.Picture, grant: Grant, original_bytes: int, *, lowest: bool) -> Outcome:
        header = pb.FrameHeader(camera=self.name, time=frame_time(frame))
        facts: dict[str, dict[str, object]] = {}
        state = dict(self.budget.state())
        if state:
            facts[self._budget_key] = {**state, "at": time.time()}
        if frame.name:
            facts[self._cursor_key] = {"cursor": frame.name}
        with self._tracer(header):
            message = pb.PictureFrame(
                header=header, picture=picture, rate=grant.rate, wishes=self._wishes, at_lowest_quality=lowest
            )
            put = self._spool.put(self.name, frame.captured_at, message.SerializeToString(), facts=facts)
        if put.sequence is None:
            self.budget.settle(grant, None)
            return Outcome.SPOOL
        self._sent_at = time.monotonic()
        if self._changes is not None:
            self._changes.sent()
        self._on_taken(put.sequence, Taken(self.name, grant, self.budget, original_bytes, frame.monotonic))
        if isinstance(self._source, FolderSource):
            self._source.safe(frame.name)
        return Outcome.TAKEN

    def _is_due_anyway(self) -> bool:
        every = self.configuration.at_least_every
        return every > 0 and time.monotonic() - self._sent_at >= every

    def _tell(self, problem: str) -> None:
        if problem != self._last_problem:  # one line a change
            _log.warning("camera %s: %s", self.name, problem)
        self._last_problem = problem


def frame_time(frame: Captured) -> pb.FrameTime:
    """Return when a frame was taken, in the three clocks that are known."""
    told = pb.FrameTime(monotonic_seconds=frame.monotonic, clock_synced=clock_is_synchronised())
    told.captured_at.FromNanoseconds(int(frame.captured_at * 1e9))
    if frame.source_seconds is not None:
        told.source_seconds = frame.source_seconds
    return told
