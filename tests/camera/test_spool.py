"""The spool keeps every frame it took, in order, within its limits, and says what it dropped and why."""

import itertools
import os
import subprocess
import sys

import pytest

from manypath_camera.errors import SpoolKeyError, SpoolLockedError
from manypath_camera.retention import Limits, Policy, Reason
from manypath_camera.sealing import read_key
from manypath_camera.sequences import SequenceRange
from manypath_camera.spool import Origin, Spool
from tests.camera.waiting import wait_for


class ManualClock:
    """Time that goes when it is told to."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.seconds = 0.0
        self.wall_at_start = wall

    def wall(self) -> float:
        return self.wall_at_start + self.seconds

    def monotonic(self) -> float:
        return self.seconds


def everything(spool):
    return spool.fetch(0, 2**62, max_items=10**6, max_bytes=10**9)


def limits(**given):
    return Limits(**{"min_free_bytes": 0} | given)


def test_frames_come_out_in_order_and_leave_when_they_are_acknowledged(tmp_path):
    with Spool(tmp_path) as spool:
        puts = [spool.put("gate", 10.0 + index, bytes([index]) * 100) for index in range(5)]
        assert [put.sequence for put in puts] == [1, 2, 3, 4, 5]
        assert [item.payload[0] for item in everything(spool)] == [0, 1, 2, 3, 4]
        assert [item.sequence for item in spool.fetch(1, 4, max_items=2, max_bytes=10**6)] == [2, 3]
        assert (spool.items, spool.size_bytes, spool.settled) == (5, 500, 0)
        assert spool.acknowledge(2, [SequenceRange(4, 4)]) == 3
        assert [item.sequence for item in everything(spool)] == [3, 5]
        assert (spool.items, spool.size_bytes, spool.settled) == (2, 200, 2)


def test_a_frame_larger_than_the_room_asked_for_is_still_given(tmp_path):
    with Spool(tmp_path) as spool:
        spool.put("gate", 0.0, b"x" * 1000)
        assert len(spool.fetch(0, 9, max_items=1, max_bytes=10)) == 1


def test_numbers_are_never_given_twice_even_when_the_spool_was_emptied_and_opened_anew(tmp_path):
    with Spool(tmp_path) as spool:
        session = spool.session
        spool.put("gate", 0.0, b"a")
        spool.acknowledge(1)
    with Spool(tmp_path) as spool:
        assert spool.session == session
        assert spool.settled == 1
        assert spool.put("gate", 0.0, b"b").sequence == 2


def test_the_same_frame_of_a_sender_is_put_in_once_and_is_still_known_after_a_restart(tmp_path):
    with Spool(tmp_path) as spool:
        assert not spool.put("gate", 0.0, b"a", Origin("camera", 7)).repeated
        assert spool.put("gate", 0.0, b"a", Origin("camera", 7)).repeated
    with Spool(tmp_path) as spool:
        assert spool.put("gate", 0.0, b"a", Origin("camera", 7)).repeated
        assert not spool.put("gate", 0.0, b"a", Origin("another", 7)).repeated
        assert spool.items == 2
        spool.put("gate", 0.0, b"b", Origin("camera", 9, settled=8))
        assert spool.received("camera").contiguous == 9


@pytest.mark.parametrize("policy", Policy)
def test_the_bytes_kept_never_exceed_their_limit_and_each_policy_keeps_what_it_says(tmp_path, policy):
    clock = ManualClock()
    with Spool(tmp_path, limits=limits(max_bytes=1000, policy=policy), clock=clock) as spool:
        for index in range(30):
            clock.seconds += 600  # six frames an hour
            spool.put("gate", 0.0, bytes(100), None)
            assert spool.size_bytes <= 1000
            assert index + 1 == spool.items + spool.dropped[Reason.BYTES]
        kept = [item.sequence for item in everything(spool)]
    if policy is Policy.DROP_OLDEST:
        assert kept == list(range(21, 31))
    elif policy is Policy.DROP_NEWEST:
        assert kept == list(range(1, 11))
    else:  # the whole length is there, no gap more than four times the smallest
        gaps = [later - earlier for earlier, later in itertools.pairwise(kept)]
        assert kept[0] == 1
        assert kept[-1] == 30
        assert max(gaps) <= 7


def test_a_frame_larger_than_the_spool_is_refused_and_drops_nothing(tmp_path):
    with Spool(tmp_path, limits=limits(max_bytes=1000)) as spool:
        spool.put("gate", 0.0, bytes(500))
        assert spool.put("gate", 0.0, bytes(2000)).dropped is Reason.BYTES
        assert spool.items == 1


def test_frames_on_their_way_are_spared(tmp_path):
    with Spool(tmp_path, limits=limits(max_bytes=300)) as spool:
        for _ in range(3):
            spool.put("gate", 0.0, bytes(100))
        spool.claim([1])
        spool.put("gate", 0.0, bytes(100))
        assert [item.sequence for item in everything(spool)] == [1, 3, 4]


def test_age_is_kept_by_a_timer_though_nothing_is_sent(tmp_path):
    clock = ManualClock()
    with Spool(tmp_path, limits=limits(max_age_seconds=100), clock=clock, tick_seconds=0.01) as spool:
        spool.put("gate", 0.0, b"old")
        clock.seconds = 60
        spool.put("gate", 0.0, b"young")
        clock.seconds = 101
        wait_for(lambda: spool.items == 1)
        assert everything(spool)[0].payload == b"young"
        assert spool.dropped[Reason.AGE] == 1


def test_a_clock_that_leaps_ahead_drops_nothing(tmp_path):
    clock = ManualClock(wall=0.0)  # 1970, as a camera without a battery has it
    with Spool(tmp_path, limits=limits(max_age_seconds=3600), clock=clock, tick_seconds=0.01) as spool:
        spool.put("gate", 0.0, b"a")
        clock.wall_at_start = 1_700_000_000.0  # the time server answers
        spool.put("gate", 0.0, b"b")
        clock.seconds = 10
        ticks(spool)
        assert spool.items == 2
        assert spool.oldest_age_seconds == 10


def test_a_clock_that_falls_back_to_1970_over_a_restart_drops_nothing(tmp_path):
    clock = ManualClock()
    with Spool(tmp_path, limits=limits(max_age_seconds=3600), clock=clock) as spool:
        spool.put("gate", 0.0, b"a")
    with Spool(tmp_path, limits=limits(max_age_seconds=3600), clock=ManualClock(0.0), tick_seconds=0.01) as spool:
        spool.put("gate", 0.0, b"b")
        ticks(spool)
        assert [item.sequence for item in everything(spool)] == [1, 2]


def test_a_second_process_on_the_same_spool_is_refused_by_name(tmp_path):
    with Spool(tmp_path):
        code = "import sys; from pathlib import Path; from manypath_camera.spool import Spool; Spool(Path(sys.argv[1]))"
        second = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
        assert "SpoolLockedError" in second.stderr
        assert f"process {os.getpid()}" in second.stderr
        with pytest.raises(SpoolLockedError):
            Spool(tmp_path)
    Spool(tmp_path).close()


def test_what_a_receiver_refuses_for_good_lies_in_a_bounded_folder(tmp_path):
    with Spool(tmp_path) as spool:
        spool.dead_letters._max_items = 3
        for index in range(5):
            spool.put("gate/1", 0.0, bytes([index]))
            spool.reject(index + 1, code="INVALID_ARGUMENT", details="not a bitstream")
        assert spool.items == 0
        assert spool.dropped[Reason.REJECTED] == 5
    frames = sorted((tmp_path / "dead-letters").glob("*.frame"))
    assert [frame.name for frame in frames] == [f"{number:012d}-gate_1.frame" for number in (3, 4, 5)]
    assert "not a bitstream" in frames[0].with_suffix(".json").read_text()


def test_an_encrypted_spool_shows_nothing_and_opens_with_its_key_only(tmp_path):
    key_file = tmp_path / "key"
    key_file.write_text("ab" * 32)
    with pytest.raises(SpoolKeyError, match="chmod 600"):
        read_key(key_file)
    key_file.chmod(0o600)
    key = read_key(key_file)
    secret = b"the number plate of the car at the gate"
    with Spool(tmp_path / "s", key=key) as spool:
        spool.put("gate", 0.0, secret)
    assert not any(secret in file.read_bytes() for file in (tmp_path / "s").iterdir() if file.is_file())
    for other in (None, bytes(32)):
        with pytest.raises(SpoolKeyError):
            Spool(tmp_path / "s", key=other)
    with Spool(tmp_path / "s", key=key) as spool:
        assert everything(spool)[0].payload == secret


def test_facts_are_remembered_across_a_restart(tmp_path):
    with Spool(tmp_path) as spool:
        assert spool.recall("quota") == {}
        spool.remember("quota", {"tokens": 12.5})
    with Spool(tmp_path) as spool:
        assert spool.recall("quota") == {"tokens": 12.5}


def ticks(spool, count=3):
    """Wait until the limits were looked at a few times."""
    store = spool._store
    seen = [0]
    enforce = store.enforce

    def counted():
        enforce()
        seen[0] += 1

    store.enforce = counted
    wait_for(lambda: seen[0] >= count)
