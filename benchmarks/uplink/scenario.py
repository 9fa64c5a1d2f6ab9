"""What happens to the sites while a row of the table is measured, and what the row says."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import yaml

from benchmarks.uplink.link import Conditions
from benchmarks.uplink.network import Network
from benchmarks.uplink.site import Sites, Usage

LATE_SECONDS = 10.0  # from capture to the result sink, beyond which a frame counts as late
_START_SECONDS = 300.0
_DOWN_AGAIN_SECONDS = 2.0  # a part that was killed stays away for so long
_PARTS = ("camera", "encoder", "decoder")


class Event(NamedTuple):
    """Something that happens.

    Attributes:
        at: seconds after the beginning.
        what: "down", "up", or "kill" and a part.
    """

    at: float
    what: str


@dataclass(frozen=True)
class Scenario:
    """A row.

    Attributes:
        name: of the row.
        conditions: of the link.
        events: what happens, ascending.
        middle_box: whether an Envoy cuts streams.
    """

    name: str
    conditions: Conditions = field(default_factory=Conditions)
    events: Sequence[Event] = field(default_factory=tuple)
    middle_box: bool = False


class Row(NamedTuple):
    """What a run came to.

    Attributes:
        name: of the scenario.
        seconds: that frames were taken for.
        taken: frames that the camera's client put on the disk.
        sent: bitstreams that the encoder put on the disk.
        delivered: different frames that the result sink has.
        twice: lines of the sink beyond that.
        late: frames older than ``LATE_SECONDS`` when the sink had them.
        oldest_seconds: greatest such age.
        bitstream_bytes: of delivered frames.
        wire_bytes: that the edge sent, headers, handshakes and repetitions included.
        drained_seconds: from the last frame taken until everything was delivered.
        usage: of each part.
    """

    name: str
    seconds: float
    taken: int
    sent: int
    delivered: int
    twice: int
    late: int
    oldest_seconds: float
    bitstream_bytes: int
    wire_bytes: int
    drained_seconds: float
    usage: Mapping[str, Usage]

    @property
    def is_whole(self) -> bool:
        """Whether nothing was lost and nothing doubled."""
        return self.taken == self.sent == self.delivered and self.twice == 0


def run(
    scenario: Scenario,
    folder: Path,
    *,
    cameras: Mapping[str, object],
    model: str,
    seconds: float,
    patience_seconds: float,
    rtsp: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Row:
    """Run a scenario and return its row.

    Args:
        scenario: what happens.
        folder: empty; for spools, results and logs.
        cameras: a file of cameras, as a mapping.
        model: of the codec.
        seconds: that frames are taken for, from the first one on.
        patience_seconds: for what is on its way at the end.
        rtsp: whether there is an RTSP server at the edge, on port 8554.
        progress: told what happens.
    """
    file = folder / "cameras.yaml"
    file.write_text(yaml.safe_dump(dict(cameras)))
    with Network(scenario.conditions) as network:
        sites = Sites(network, folder, model=model, cameras=file, middle_box=scenario.middle_box, rtsp=rtsp)
        with sites:
            if not _until(lambda: sites.results.exists() and sites.results.stat().st_size > 0, _START_SECONDS):
                raise RuntimeError(f"no frame arrived within {_START_SECONDS:.0f} s; the logs are in {folder}")
            started = time.monotonic()
            _play(scenario, network, sites, seconds=seconds, progress=progress)
            file.write_text(yaml.safe_dump({**cameras, "cameras": {}}))
            stopped = time.monotonic()
            progress("no more frames are taken; the spools drain")
            _until(lambda: _waiting(sites) == 0, patience_seconds)
            drained = time.monotonic() - stopped
            usage = {part: sites.usage(part) for part in _PARTS}
            wire = sites.wire_bytes()
    return _row(scenario.name, sites, seconds=stopped - started, drained=drained, wire=wire, usage=usage)


def _play(
    scenario: Scenario, network: Network, sites: Sites, *, seconds: float, progress: Callable[[str], None]
) -> None:
    started = time.monotonic()
    events = sorted(scenario.events)
    back: list[tuple[float, str]] = []
    while (now := time.monotonic() - started) < seconds or back:
        while events and events[0].at <= now:
            what = events.pop(0).what
            progress(f"{now:.0f} s: {what}")
            if what in {"down", "up"}:
                network.become(replace(scenario.conditions, down=what == "down"))
            else:
                part = what.removeprefix("kill ")
                sites.kill(part)
                back.append((now + _DOWN_AGAIN_SECONDS, part))
        for at, part in list(back):
            if at <= now:
                sites.start(part)
                back.remove((at, part))
        time.sleep(0.2)
    network.become(scenario.conditions)


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.3)
    return True


def _waiting(sites: Sites) -> int:
    return sum(_ask(spool, "SELECT COUNT(*) FROM items") for spool in (sites.frames_spool, sites.bitstreams_spool))


def _ask(spool: Path, question: str) -> int:
    # read-only, beside the owner: looking neither writes nor folds the log
    with sqlite3.connect(f"file:{spool / 'spool.sqlite'}?mode=ro", uri=True, timeout=10) as connection:
        row = connection.execute(question).fetchone()
    connection.close()
    return int(row[0]) if row else 0


def _row(name: str, sites: Sites, *, seconds: float, drained: float, wire: int, usage: Mapping[str, Usage]) -> Row:
    told = [json.loads(line) for line in sites.results.read_text().splitlines()]
    frames = {(line["origin"]["session"], line["origin"]["sequence"]) for line in told}
    ages = [
        (
            datetime.fromisoformat(line["receivedAt"]) - datetime.fromisoformat(line["time"]["capturedAt"])
        ).total_seconds()
        for line in told
    ]
    given = "SELECT seq FROM sqlite_sequence WHERE name = 'items'"
    return Row(
        name=name,
        seconds=seconds,
        taken=_ask(sites.frames_spool, given),
        sent=_ask(sites.bitstreams_spool, given),
        delivered=len(frames),
        twice=len(told) - len(frames),
        late=sum(age > LATE_SECONDS for age in ages),
        oldest_seconds=max(ages, default=0.0),
        bitstream_bytes=sum(line["bytes"] for line in told),
        wire_bytes=wire,
        drained_seconds=drained,
        usage=usage,
    )
