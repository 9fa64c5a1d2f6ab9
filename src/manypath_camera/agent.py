"""The camera client: cameras of a file, one spool, one stream to the encoder, changed while it runs."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import grpc

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.budget import Budget, FixedRate, TokenBucket
from manypath_camera.camera import Camera, FrameFilter, FrameTracer, Taken, frame_time, untraced
from manypath_camera.configuration import CameraConfiguration, Configuration, RateConfiguration
from manypath_camera.errors import CameraError
from manypath_camera.frames import Captured, Image
from manypath_camera.objects import EdgeDetector, ObjectFilter, Wish, default_folder
from manypath_camera.preparation import as_message
from manypath_camera.sealing import read_key
from manypath_camera.sender import Sender, SenderOptions
from manypath_camera.spool import Spool
from manypath_camera.wire import PicturesToEncoder

_log = logging.getLogger(__name__)
_MOST_EARLY = 1000
_LONGEST_BACKOFF_SECONDS = 5.0  # the encoder is near: asking costs nothing
_MOST_REMEMBERED = 100_000  # frames whose size is still to be heard of


class CameraClient:
    """Takes frames from cameras and brings each to the encoder once, for as long as that takes.

    Args:
        folder: of the spool.
        configuration: what to run; ``apply`` changes it.
        connect: opens a channel to an encoder's address.
        frame_filters: by camera, who has a say in what is sent.
        tracer: names the traces of frames.
        on_answer: told what became of each frame: first of its encoding, later of its tasks where that is asked for.
        on_encoded: told of each encoded frame with what it was.

    Attributes:
        spool: where frames wait.
        sender: that empties it.
        cameras: by name.

    Raises:
        SpoolError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        configuration: Configuration,
        connect: Callable[[str], grpc.aio.Channel],
        *,
        frame_filters: Mapping[str, FrameFilter] | None = None,
        tracer: FrameTracer = untraced,
        on_answer: Callable[[pb.FrameAnswer], Awaitable[None]] | None = None,
        on_encoded: Callable[[pb.FrameAnswer, Taken | None], None] | None = None,
    ) -> None:
        self.configuration = configuration
        key_file = configuration.spool.key_file
        key = None if key_file is None else read_key(key_file)
        self.spool = Spool(folder, limits=configuration.spool.limits(), key=key)
        self.cameras: dict[str, Camera] = {}
        self._filters = frame_filters or {}
        self._tracer = tracer
        self._detector: EdgeDetector | None = None
        self._on_answer = on_answer
        self._on_encoded = on_encoded
        self._lock = threading.Lock()
        self._taken: dict[int, Taken] = {}
        self._early: dict[int, int | None] = {}  # bytes of frames that were encoded before they were remembered
        self._own_budgets: dict[str, tuple[Budget, str]] = {}
        self._shared: tuple[RateConfiguration, Budget] | None = None
        options = SenderOptions(
            backlog_share=configuration.backlog_share, longest_backoff_seconds=_LONGEST_BACKOFF_SECONDS
        )
        self.sender = Sender(
            self.spool,
            lambda: connect(self.configuration.encoder),
            PicturesToEncoder(),
            options,
            on_answer=self._hear_answer,
            on_refusal=self._hear_refusal,
        )

    async def run(self) -> None:
        """Run until cancelled."""
        await asyncio.to_thread(self.apply, self.configuration)
        try:
            await self.sender.run()
        finally:
            await asyncio.to_thread(self.close)

    def put(self, camera: str, picture: bytes | Image) -> int | None:
        """Send a picture of your own, as a camera of the file would: on disk when this returns, and then on its way.

        Args:
            camera: its name, 1..64 letters, digits, ., - and _.
            picture: a whole JPEG, PNG or WebP file, or uint8 [H, W, 3].

        Returns:
            Its sequence number; None where the budget has nothing left for it now, or the spool's policy refused it.

        Raises:
            SpoolError: the disk does not take it.
        """
        budget, key = self._own_budgets.setdefault(camera, self._budget(camera, None))
        grant = budget.grant(time.monotonic())
        if grant is None:
            return None
        frame = Captured(picture)
        header = pb.FrameHeader(camera=camera, time=frame_time(frame))
        state = budget.state()
        facts = {key: {**state, "at": time.time()}} if state else {}
        with self._tracer(header):
            message = pb.PictureFrame(header=header, picture=as_message(picture), rate=grant.rate)
            message.wishes.CopyFrom(_wishes(self.configuration, None))
            message.at_lowest_quality = grant.reserved > 0
            put = self.spool.put(camera, frame.captured_at, message.SerializeToString(), facts=facts)
        if put.sequence is None:
            budget.settle(grant, None)
            return None
        size = len(picture) if isinstance(picture, bytes) else picture.nbytes
        self._remember(put.sequence, Taken(camera, grant, budget, size, frame.monotonic))
        return put.sequence

    def apply(self, configuration: Configuration) -> None:
        """Start cameras that are new, stop those that are gone, and start anew those that changed; others run on."""
        before = self.configuration
        self.configuration = configuration
        everything = (before.detector, before.rate, before.tasks, before.pictures, before.answers) != (
            configuration.detector,
            configuration.rate,
            configuration.tasks,
            configuration.pictures,
            configuration.answers,
        )
        for name, camera in list(self.cameras.items()):
            wanted = configuration.cameras.get(name)
            if wanted is None or everything or wanted != camera.configuration:
                camera.stop()
                del self.cameras[name]
                if wanted is None:
                    _log.info("camera %s is removed", name)
        for name, wanted in configuration.cameras.items():
            if name not in self.cameras:
                try:
                    self.cameras[name] = self._start(name, wanted)
                except CameraError as err:  # one camera's mistake is not the others'
                    _log.error("camera %s is left out: %s", name, err)

    def close(self) -> None:
        """Stop the cameras and close the spool; what is in it goes on at the next start."""
        for camera in self.cameras.values():
            camera.stop()
        self.cameras.clear()
        self.spool.close()

    def _start(self, name: str, configuration: CameraConfiguration) -> Camera:
        budget, key = self._budget(name, configuration.rate)
        otherwise = configuration.objects.otherwise if configuration.objects is not None else None
        return Camera(
            name,
            configuration,
            budget=budget,
            budget_key=key,
            wishes=_wishes(self.configuration, configuration),
            spool=self.spool,
            waiting=self._waiting,
            on_taken=self._remember,
            frame_filter=self._filters.get(name) or self._object_filter(name, configuration),
            otherwise=None if otherwise is None else _fixed(otherwise),
            tracer=self._tracer,
        )

    def _object_filter(self, name: str, configuration: CameraConfiguration) -> FrameFilter | None:
        """Return what looks for a camera's objects; one detector serves all cameras."""
        objects = configuration.objects
        if objects is None:
            return None
        folder = self.configuration.detector or default_folder()
        if self._detector is None or self._detector.folder != folder:
            self._detector = EdgeDetector(folder)
        wish = Wish(objects.classes, objects.min_score, objects.linger)
        return ObjectFilter(self._detector, {name: wish}, time.monotonic)

    def _budget(self, name: str, own: RateConfiguration | None) -> tuple[Budget, str]:
        rate = own or self.configuration.rate
        key = "budget" if own is None and rate.is_shared else f"budget:{name}"
        if own is None and rate.is_shared:
            if self._shared is None or self._shared[0] != rate:
                self._shared = (rate, self._make_budget(rate, key))
            return self._shared[1], key
        return self._make_budget(rate, key), key

    def _make_budget(self, rate: RateConfiguration, key: str) -> Budget:
        if rate.link is not None:
            bucket = TokenBucket.of_link(rate.link.bits_per_second, rate.link.max_delay_seconds, rate.effort)
        elif rate.daily_quota is not None:
            bucket = TokenBucket.of_day(rate.daily_quota, rate.effort)
        else:
            return FixedRate(_fixed(rate))
        state = self.spool.recall(key)
        at = state.get("at")
        away = time.time() - at if isinstance(at, int | float) else 0.0
        bucket.restore(state, away)
        return bucket

    # ------------------------------------------------------------------------------- what becomes of frames

    def _waiting(self, camera: str) -> int:
        """Return how many of a camera's frames, taken since the stream is open, are not encoded yet."""
        after = self.sender.live_after
        if after is None:
            return 0  # the encoder is away: everything is kept
        with self._lock:
            return sum(taken.camera == camera for sequence, taken in self._taken.items() if sequence > after)

    def _remember(self, sequence: int, taken: Taken) -> None:
        with self._lock:
            early = sequence in self._early
            used = self._early.pop(sequence, None)
            if not early:
                self._taken[sequence] = taken
            if len(self._taken) > _MOST_REMEMBERED:
                del self._taken[next(iter(self._taken))]
        if early:
            taken.budget.settle(taken.grant, used)
        self.sender.wake()

    def _forget(self, sequence: int, used: int | None) -> Taken | None:
        """Return what a frame was, which then is done; the encoder may be faster than the thread that took it."""
        with self._lock:
            taken = self._taken.pop(sequence, None)
            if taken is None:
                self._early[sequence] = used
                if len(self._early) > _MOST_EARLY:
                    del self._early[next(iter(self._early))]
            return taken

    async def _hear_answer(self, answer: pb.FrameAnswer) -> None:
        if answer.HasField("encoded"):
            taken = self._forget(answer.sequence, answer.encoded.facts.bytes)
            if taken is not None:
                taken.budget.settle(taken.grant, answer.encoded.facts.bytes)
            if self._on_encoded is not None:
                self._on_encoded(answer, taken)
        if self._on_answer is not None:
            await self._on_answer(answer)

    async def _hear_refusal(self, refusal: pb.FrameRefusal) -> None:
        taken = self._forget(refusal.sequence, None)
        if taken is not None:
            taken.budget.settle(taken.grant, None)


def _fixed(rate: RateConfiguration) -> pb.Rate:
    """Return a rate of each frame, as the encoder takes it."""
    if rate.max_bytes is not None:
        return pb.Rate(max_bytes=rate.max_bytes, effort=rate.effort)
    if rate.bpp is not None:
        return pb.Rate(target_bpp=rate.bpp, effort=rate.effort)
    return pb.Rate(quality=rate.quality or 4.0, effort=rate.effort)


def _wishes(configuration: Configuration, camera: CameraConfiguration | None) -> pb.FrameWishes:
    tasks = configuration.tasks if camera is None or camera.tasks is None else camera.tasks
    pictures = configuration.pictures if camera is None or camera.pictures is None else camera.pictures
    return pb.FrameWishes(
        tasks=[pb.TaskRequest(task_name=task) for task in tasks],
        pictures=[pb.PathRequest(path_name=path) for path in pictures],
        answer=configuration.answers,
    )
