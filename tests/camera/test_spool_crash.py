"""What the spool said it had, it has: after kill -9, on a full disk, and with damaged pages."""

import ctypes
import os
import random
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from manypath_camera.retention import Limits, Policy, Reason
from manypath_camera.spool import Spool
from tests.camera.waiting import wait_for

WRITER = """
import sys
from pathlib import Path
from manypath_camera.spool import Origin, Spool
spool = Spool(Path(sys.argv[1]))
number = spool.received("camera").contiguous
while True:
    number += 1
    put = spool.put("gate", float(number), number.to_bytes(4) * 3000, Origin("camera", number))
    print(number, put.sequence, flush=True)
    if number % 3 == 0:
        spool.acknowledge(put.sequence - 2)
        print(number, -(put.sequence - 2), flush=True)
"""


def test_a_killed_process_loses_nothing_that_it_said_it_had_and_gives_no_number_twice(tmp_path):
    chance = random.Random(4)
    told: dict[int, int] = {}
    acknowledged = 0
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(chance.randint(1, 60)):  # killed at any step of a frame's life
            number, sequence = map(int, writer.stdout.readline().split())
            if sequence < 0:
                acknowledged = -sequence
            else:
                assert sequence not in told.values()
                told[number] = sequence
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
        for line in rest.splitlines():
            if len(line.split()) == 2 and line.split()[1].lstrip("-").isdigit():
                number, sequence = map(int, line.split())
                if sequence > 0:
                    told[number] = sequence
                else:
                    acknowledged = -sequence
        with Spool(tmp_path) as spool:
            there = {item.sequence: item for item in spool.fetch(0, 2**62, max_items=10**6, max_bytes=10**9)}
            seen = spool.received("camera")
            assert spool.dropped == dict.fromkeys(Reason, 0)
        for number, sequence in told.items():
            if sequence > acknowledged + 3:  # an acknowledgement may have been on the disk and not yet told
                assert there[sequence].payload == number.to_bytes(4) * 3000
            assert number in seen
        assert not [sequence for sequence in there if sequence <= acknowledged]


@contextmanager
def small_disk(folder, size):
    """A file system of ``size`` bytes at ``folder``; skips where that is not allowed."""
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode()) != 0:
        pytest.skip(f"a small file system cannot be mounted here: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        libc.umount2(os.fsencode(folder), 2)


@pytest.mark.parametrize("policy", Policy)
def test_a_full_disk_drops_by_the_policy_and_never_stops_the_spool(tmp_path, policy):
    disk = tmp_path / "disk"
    with small_disk(disk, 8 * 2**20), Spool(disk, limits=Limits(min_free_bytes=0, policy=policy)) as spool:
        random_bytes = random.Random(1).randbytes(20_000)
        puts = [spool.put("gate", 0.0, random_bytes) for _ in range(600)]  # 12 MB
        assert spool.dropped[Reason.DISK] > 0
        assert spool.items + spool.dropped[Reason.DISK] == 600
        kept = [item.sequence for item in spool.fetch(0, 2**62, max_items=10**6, max_bytes=10**9)]
        assert len(kept) == spool.items
        assert spool.items > 100
        if policy is Policy.DROP_NEWEST:
            assert kept == list(range(1, len(kept) + 1))
        else:
            assert puts[-1].sequence == kept[-1] == 600
            assert kept[0] > 1 if policy is Policy.DROP_OLDEST else kept[0] == 1
        spool.acknowledge(kept[-1])
        assert spool.put("gate", 0.0, random_bytes).sequence is not None


def test_free_disk_is_kept_by_the_timer_while_nothing_is_sent(tmp_path):
    disk = tmp_path / "disk"
    keep = 3 * 2**20
    with small_disk(disk, 16 * 2**20), Spool(disk, limits=Limits(min_free_bytes=keep), tick_seconds=0.02) as spool:
        for _ in range(700):
            spool.put("gate", 0.0, os.urandom(20_000))
        wait_for(lambda: os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize >= keep)
        assert spool.dropped[Reason.DISK] > 0


def fill(folder, count=200):
    with Spool(folder) as spool:
        spool.put_many([("gate", 0.0, bytes([index % 251]) * 9000) for index in range(count)])
        return spool.session


@pytest.mark.parametrize("damage", ["last page", "cut short", "a page in the middle"])
def test_a_damaged_file_is_set_aside_and_what_can_be_read_is_saved(tmp_path, damage):
    session = fill(tmp_path)
    path = tmp_path / "spool.sqlite"
    size = path.stat().st_size
    with path.open("r+b") as file:
        if damage == "cut short":
            file.truncate(size - 3 * 4096)
        else:
            file.seek(size - 4096 if damage == "last page" else size // 2 // 4096 * 4096)
            file.write(b"\xa5" * 4096)
    with Spool(tmp_path) as spool:
        items = spool.fetch(0, 2**62, max_items=10**6, max_bytes=10**9)
        assert len(items) >= 90
        assert all(item.payload == bytes([(item.sequence - 1) % 251]) * 9000 for item in items)
        assert spool.dropped[Reason.CORRUPT] > 0
        assert spool.session == session
        assert spool.put("gate", 0.0, b"next").sequence > 200  # never a number that may have been used


def test_a_file_that_is_no_database_is_set_aside_and_the_spool_begins_anew(tmp_path):
    fill(tmp_path, 3)
    (tmp_path / "spool.sqlite").write_bytes(b"not a database at all" * 1000)
    with Spool(tmp_path) as spool:
        assert spool.put("gate", 0.0, b"next").sequence is not None
    assert list(tmp_path.glob("damaged-*.sqlite"))
