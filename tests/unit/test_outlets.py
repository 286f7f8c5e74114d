"""Outlets as the last resort: who may be cut off, when, how it is believed, and when it comes back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.allocation.situation import Plan
from daemon.config import load_config
from daemon.cycle.layout import SiteLayout
from daemon.dispatch.outlets import Outlets, Sockets
from daemon.errors import ConfigurationError
from daemon.table import SiteTable, Snapshot
from drivers import profiles
from drivers.quantity import Quantity
from tests.unit.test_dispatch import PaperFleet
from tests.world.paper_loads import MINER, Park, loads_of
from tests.world.site_files import GOOD, write_site

PROFILES = Path(profiles.__file__).parent
PDU = 3
LIMIT_W = 5_000.0


class Bench:
    """Three miners in rows 0–2 on a PDU in row 3. All were ordered to sleep; the second does not obey."""

    def __init__(self, *, sockets: Sockets | None = None) -> None:
        self.park = Park(loads_of(MINER, MINER, MINER))
        self.fleet = PaperFleet()
        sockets = sockets or Sockets(np.array([PDU] * 3), np.array([4, 5, 6]))
        self.outlets = Outlets(self.park.loads, sockets, self.fleet)
        self.table = SiteTable([1.0] * 4)
        self.power_w: dict[int, float] = {0: 30.0, 1: 3500.0, 2: 30.0, PDU: 3560.0}
        self.park.at(0, 0, 0)
        self.obeys(1, obeys=False)

    def obeys(self, load: int, *, obeys: bool) -> None:
        column = self.park.memory.obeys.copy()
        column[load] = obeys
        self.park.memory = replace(self.park.memory, obeys=column)

    def seen(self, after_s: float = 1.0, *silent: int) -> Snapshot:
        """Time passes and everyone but the silent is read."""
        self.park.now_s += after_s
        for row, watts in self.power_w.items():
            if row not in silent:
                self.table.sampled(row, {Quantity.POWER: watts}, self.park.now_s - 0.2)
        snapshot = self.table.freeze(self.park.now_s)
        power_w = snapshot.fresh(Quantity.POWER)
        self.outlets.look(snapshot, power_w[:3], power_w, snapshot.monotonic_s - snapshot.age_s)
        measured_w, _ = self.outlets.corrected(power_w[:3], np.full(3, self.park.now_s), 1.0)
        self.park.measured_w = measured_w
        seen_s = np.where(np.isfinite(measured_w), self.park.now_s, self.park.memory.seen_s)
        self.park.memory = self.outlets.remembered(replace(self.park.memory, seen_s=seen_s))
        return snapshot

    def act(self, snapshot: Snapshot, limit_w: float = 1_000.0, *stubborn: int) -> Plan:
        plan = self.park.plan(limit_w)
        those = np.isin(np.arange(3), stubborn or (1,))
        look, power_w = self.park.seen(), snapshot.fresh(Quantity.POWER)
        self.outlets.act(plan, look, those, self.park.circuits, power_w)
        return plan

    def cut(self) -> None:
        """The second load's outlet is off, seen by the PDU, and the load is silent."""
        self.act(self.seen())
        self.power_w |= {1: 0.0, PDU: 60.0}
        for _ in range(8):
            self.seen(1.0, 1)


def test_who_does_not_follow_is_cut_off_only_while_the_limit_is_not_met_without_it() -> None:
    bench = Bench()
    bench.act(bench.seen(), 4_000.0)
    assert bench.fleet.switched == []
    bench.act(bench.seen(), 1_000.0)
    assert bench.fleet.switched == [(PDU, 5, False)]


def test_no_more_are_cut_off_than_needed_the_largest_first() -> None:
    bench = Bench()
    bench.obeys(2, obeys=False)
    bench.power_w |= {1: 1800.0, 2: 3500.0}
    bench.act(bench.seen(), 2_000.0, 1, 2)
    assert bench.fleet.switched == [(PDU, 6, False)]
    bench.act(bench.seen(), 2_000.0, 1, 2)
    assert bench.fleet.switched == [(PDU, 6, False)]  # it is on its way


def test_a_load_without_an_outlet_that_may_be_switched_stays_on() -> None:
    bench = Bench(sockets=Sockets(np.full(3, -1), np.zeros(3, dtype=np.int64)))
    assert not bench.outlets.any
    bench.act(bench.seen(), 0.0, 0, 1, 2)
    assert bench.fleet.switched == []


def test_a_circuit_above_its_limit_is_reason_enough() -> None:
    bench = Bench()
    bench.park.circuits = type(bench.park.circuits).build([2_000.0], [-1], np.zeros(3, dtype=np.int64))
    bench.act(bench.seen(), 9_000.0)
    assert bench.fleet.switched == [(PDU, 5, False)]


def test_it_counts_as_off_once_the_pdu_has_fallen_and_it_is_silent_and_not_before() -> None:
    bench = Bench()
    bench.act(bench.seen())
    bench.seen(1.0, 1, PDU)
    bench.seen(5.0, 1, PDU)
    assert not bench.outlets.dead.any()  # silence alone proves nothing
    bench.power_w[PDU] = 3_500.0
    bench.seen(1.0, 1)
    assert not bench.outlets.dead.any()  # nor does a PDU that feeds on
    bench.power_w[PDU] = 60.0
    bench.seen(1.0, 1)
    assert bench.outlets.dead.tolist() == [False, True, False]
    assert bench.park.measured_w.tolist() == [30.0, 0.0, 30.0]
    assert bench.park.plan(1_000.0).unreachable_w == 0


def test_nothing_counts_on_what_had_to_be_switched_off() -> None:
    bench = Bench()
    bench.cut()
    bench.obeys(1, obeys=True)  # as it would seem: it draws nothing
    bench.seen(1.0, 1)
    assert bench.park.memory.obeys.tolist() == [True, False, True]
    plan = bench.park.plan(4_000.0)
    assert plan.level[1] == 0
    assert plan.level.sum() > 0


def test_it_is_switched_again_until_it_shows() -> None:
    bench = Bench()
    for _ in range(25):
        bench.act(bench.seen())
    assert bench.fleet.switched == [(PDU, 5, False)] * 3


def test_it_comes_back_when_there_is_room_for_all() -> None:
    bench = Bench()
    bench.cut()
    plan = bench.act(bench.seen(1.0, 1), 20_000.0)
    assert plan.level.tolist() == bench.park.loads.top.tolist()
    assert bench.fleet.switched[-1] == (PDU, 5, True)
    assert not bench.outlets.off.any()


def test_one_that_draws_although_it_was_seen_off_is_off_no_more() -> None:
    bench = Bench()
    bench.cut()
    assert bench.outlets.dead[1]
    bench.power_w[1] = 3_000.0
    bench.seen()
    assert not bench.outlets.dead[1]
    bench.act(bench.seen(10.0))
    assert bench.fleet.switched[-1] == (PDU, 5, False)


def test_what_an_earlier_run_left_off_is_known_to_be() -> None:
    bench = Bench()
    bench.outlets.resume([1])
    bench.power_w |= {PDU: 60.0}
    for _ in range(8):
        bench.seen(1.0, 1)
    assert bench.park.measured_w[1] == 0.0
    bench.act(bench.seen(1.0, 1), 20_000.0)
    assert bench.fleet.switched == [(PDU, 5, True)]


# --- who may be ---


def sockets_of(folder: Path, old: str = "", new: str = "") -> Sockets:
    text = GOOD.replace(old, new) if old else GOOD
    return SiteLayout.of(load_config(write_site(folder, text), {})).sockets


def test_only_what_is_not_critical_and_bears_it_has_a_socket(tmp_path: Path) -> None:
    sockets = sockets_of(tmp_path)
    assert sockets.any
    assert sockets.outlet[:3].tolist() == [1, 2, 3]
    critical = 'fed_by = "pdu-{1-12}/{1-20}"\ntier = "critical"'
    assert not sockets_of(tmp_path, 'fed_by = "pdu-{1-12}/{1-20}"', critical).any
    assert not sockets_of(tmp_path, 'fed_by = "pdu-{1-12}/{1-20}"\n', "").any
    fragile = (PROFILES / "sim-miner.toml").read_text().replace("hard_off = true", "hard_off = false")
    (tmp_path / "fragile.toml").write_text(fragile)
    assert not sockets_of(tmp_path, '"sim-miner"', '"fragile.toml"').any
    # A PDU that only measures.
    assert not sockets_of(tmp_path, 'profile = "sim-pdu"', 'profile = "raritan-xerus-inlet"').any


def test_an_outlet_that_the_pdu_does_not_have_is_refused(tmp_path: Path) -> None:
    text = GOOD.replace("{1-20}", "{2-21}")
    with pytest.raises(ConfigurationError) as caught:
        load_config(write_site(tmp_path, text), {})
    (line,) = caught.value.problems
    assert line.endswith(
        'devices[1].fed_by: is "pdu-1/21", and pdu-1 has 20 outlets; write an outlet from 1 to 20'
    )
