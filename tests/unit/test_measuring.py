"""One small site's readings, cycle by cycle: what of them is used, learned and shown."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from daemon.allocation.loads import Economics, Loads, LoadSpec
from daemon.metering.feeds import Feeds
from daemon.metering.instruments import Instruments, SiteMeter
from daemon.metering.load_power import LoadPower, PowerOrigin
from daemon.metering.measuring import Metering
from daemon.metering.meter_judge import Doubt
from daemon.metering.site_power import PowerSource, SitePower
from daemon.table import SiteTable
from drivers.profiles import load_profile
from drivers.quantity import Quantity

NAN = math.nan
NAMES = ("meter", "check", "cooling", "pdu", "m-1", "m-2")
METER, CHECK, COOLING, PDU, FIRST, SECOND = range(6)
CONTRACT_W = 12_000.0


@dataclass
class Bench:
    """Two miners on a PDU, cooling, a meter and a check meter; everything is read every second."""

    kept_w: float | None = None
    watts: dict[int, float | None] = field(
        default_factory=lambda: {COOLING: 400.0, PDU: 7_000.0, FIRST: 3_500.0, SECOND: 3_500.0}
    )
    rest_w: float = 600.0
    meter_w: float | None = None
    """Shown instead of the truth."""
    silent: set[int] = field(default_factory=set)
    counted_w: tuple[float, float] = (3_500.0, 3_500.0)
    in_flight_s: float = 99.0
    now_s: float = 1_000.0
    wh: float = 7_000.0

    def __post_init__(self) -> None:
        profile = load_profile("sim-miner")
        loads = Loads.build([LoadSpec(FIRST, profile), LoadSpec(SECOND, profile)], Economics())
        none = np.array([], dtype=np.int64)
        meter = load_profile("sim-meter")
        self.instruments = Instruments(
            names=NAMES,
            nameplate_w=np.array([0.0, 0.0, 500.0, 0.0, 3_500.0, 3_500.0]),
            meters=(SiteMeter(METER, "meter", 1.0, meter), SiteMeter(CHECK, "check", 1.0, meter)),
            circuit_meters=(),
            feeds=Feeds(np.array([PDU]), np.array([0, 0]), none, none),
            cooling=(COOLING,),
            contract_w=CONTRACT_W,
            slowest_s=1.0,
        )
        self.metering = Metering(self.instruments, loads, self.kept_w)
        self.table = SiteTable([1.0] * len(NAMES))
        self.loads_power: LoadPower | None = None

    @property
    def true_w(self) -> float:
        return self.rest_w + sum(self.watts[row] or 0.0 for row in (COOLING, FIRST, SECOND))

    def look(self) -> SitePower:
        self.now_s += 1.0
        shown_w = self.true_w if self.meter_w is None else self.meter_w
        # No two readings of a meter are alike.
        shown_w += math.sin(self.now_s)
        self.wh += max(shown_w, 0.0) / 3600
        values: dict[int, dict[Quantity, float | None]] = {
            row: {Quantity.POWER: watts, Quantity.SETPOINT: None} for row, watts in self.watts.items()
        }
        for row in (METER, CHECK):
            values[row] = {Quantity.POWER: shown_w, Quantity.ENERGY_IMPORT: float(int(self.wh))}
        for row, each in values.items():
            if row not in self.silent:
                self.table.sampled(row, each, self.now_s - 0.5)
        snapshot = replace(self.table.freeze(self.now_s), complete=True)
        power = self.loads_power = self.metering.loads(snapshot, lambda: np.full(2, 3_500.0))
        return self.metering.site(snapshot, power, np.array(self.counted_w), self.in_flight_s)

    def run(self, seconds: int) -> SitePower:
        for _ in range(seconds - 1):
            self.look()
        return self.look()


def known(**changes: float) -> Bench:
    """One that has been running for two minutes."""
    bench = Bench()
    bench.run(120)
    for name, value in changes.items():
        setattr(bench, name, value)
    return bench


# --- the site ---


def test_what_nobody_controls_is_the_rest_of_the_meters_figure() -> None:
    bench = Bench()
    assert bench.metering.uncontrolled_w is None
    power = bench.run(120)
    assert power.source is PowerSource.METER
    assert power.watts == pytest.approx(8_000.0, abs=2.0)
    assert bench.metering.uncontrolled_w == pytest.approx(600.0, abs=2.0)
    assert bench.metering.cooling_w == 400.0


def test_a_load_that_is_not_measured_is_taken_as_it_counts() -> None:
    bench = Bench()
    bench.silent, bench.counted_w = {SECOND, PDU}, (NAN, 3_400.0)
    bench.run(120)
    assert bench.metering.uncontrolled_w == pytest.approx(700.0, abs=2.0)


def test_the_meter_is_judged_beside_what_a_silent_load_was_last_seen_to_draw() -> None:
    bench = Bench()
    bench.watts |= {FIRST: 100.0, PDU: 3_600.0}
    bench.run(120)
    # It counts at what it may draw at any moment; that the meter does not show it is no jump.
    bench.silent = {FIRST, PDU}
    for _ in range(30):
        power = bench.look()
        assert power.trusted
        assert not power.unsure


def test_cooling_that_is_silent_counts_as_it_was() -> None:
    bench = known()
    bench.silent = {COOLING}
    bench.run(60)
    assert bench.metering.cooling_w == 400.0
    assert bench.metering.uncontrolled_w == pytest.approx(600.0, abs=2.0)


def test_from_one_reading_is_learned_once() -> None:
    bench = known()
    before = bench.metering.residual
    bench.rest_w = 900.0
    bench.look()
    once = bench.metering.residual
    assert once != before
    bench.silent = {METER}
    bench.watts[FIRST] = 2_500.0  # what the devices show meanwhile is not held against an old figure
    bench.look()
    assert bench.metering.residual == once


def test_a_figure_that_repeats_teaches_nothing() -> None:
    bench = known()
    before_w = bench.metering.uncontrolled_w
    frozen_w = bench.true_w
    bench.watts[FIRST] = 3_000.0
    bench.wh = 7_000.0
    for _ in range(5):
        bench.wh, bench.meter_w = 7_100.0 - frozen_w / 3600, frozen_w - math.sin(bench.now_s + 1.0)
        bench.look()
    assert bench.metering.uncontrolled_w == pytest.approx(before_w, abs=0.1 * 500.0)


def test_while_orders_are_in_flight_little_is_learned() -> None:
    bench, twin = known(rest_w=1_100.0, in_flight_s=1.0), known(rest_w=1_100.0)
    bench.run(3)
    twin.run(3)
    assert bench.metering.uncontrolled_w is not None
    assert twin.metering.uncontrolled_w is not None
    assert bench.metering.uncontrolled_w - 600.0 < 0.6 * (twin.metering.uncontrolled_w - 600.0)


def test_nothing_is_learned_while_not_every_device_was_seen() -> None:
    bench = Bench()
    bench.now_s += 1.0
    bench.table.sampled(METER, {Quantity.POWER: 8_000.0}, bench.now_s)
    snapshot = bench.table.freeze(bench.now_s)
    power = bench.metering.loads(snapshot, lambda: np.full(2, NAN))
    site = bench.metering.site(snapshot, power, np.full(2, 3_500.0), 99.0)
    assert site.source is PowerSource.METER
    assert bench.metering.uncontrolled_w is None


def test_what_was_kept_is_known_before_any_meter_has_spoken() -> None:
    bench = Bench(kept_w=750.0)
    bench.silent = {METER, CHECK, PDU}
    power = bench.look()
    assert (power.source, power.watts) == (PowerSource.ESTIMATE, 7_000.0 + 400.0 + 750.0)
    bench = Bench()
    bench.silent = {METER, CHECK, PDU}
    assert (bench.look().source, bench.look().watts) == (PowerSource.NAMEPLATE, 7_400.0)


def test_the_last_figure_that_was_believed_is_shown_while_nothing_else_is_known() -> None:
    bench = known()
    bench.silent = {METER, CHECK, PDU}
    bench.counted_w = (30.0, 30.0)
    power = bench.run(10)
    assert (power.source, power.doubt) == (PowerSource.ESTIMATE, Doubt.STALE)
    assert power.watts == pytest.approx(8_000.0, abs=2.0)
    bench.counted_w = (5_000.0, 5_000.0)
    assert bench.look().watts == pytest.approx(11_000.0, abs=5.0)


def test_a_figure_that_is_looked_into_is_not_the_last_one_believed() -> None:
    bench = known()
    bench.meter_w = 12_000.0
    assert bench.look().unsure
    bench.meter_w, bench.silent = None, {METER, CHECK, PDU}
    assert bench.run(10).watts == pytest.approx(8_000.0, abs=5.0)


def test_more_than_the_plant_can_draw_is_bounded_by_contract_and_nameplates() -> None:
    bench = known(meter_w=1.2 * CONTRACT_W)
    assert bench.look().doubt is None
    bench = known(meter_w=1.3 * CONTRACT_W)
    assert bench.look().doubt is Doubt.JUMPING
    bench = known()
    bench.rest_w = 6_000.0
    bench.run(60)
    bench.meter_w = 1.3 * CONTRACT_W  # a larger load is known to be there now
    assert bench.look().doubt is None
    bench.meter_w = 1.45 * CONTRACT_W
    assert bench.look().doubt is Doubt.JUMPING


def test_before_the_rest_is_known_much_more_is_believed() -> None:
    bench = Bench(meter_w=2.9 * CONTRACT_W)
    assert bench.look().source is PowerSource.METER
    bench = Bench(meter_w=3.1 * CONTRACT_W)
    assert bench.look().source is PowerSource.NAMEPLATE


def test_a_change_at_once_that_the_register_bears_out_is_taken_over_and_told() -> None:
    bench = known(rest_w=2_600.0)
    bench.run(20)
    assert bench.metering.uncontrolled_w == pytest.approx(2_600.0, abs=20.0)
    assert bench.metering.moved_w == pytest.approx(2_000.0, rel=0.1)
    assert bench.now_s - bench.metering.moved_s < 15.0


def test_meters_are_compared_and_the_check_meter_stands_in() -> None:
    bench = known()
    assert bench.metering.disagreements[0].agreed_w == pytest.approx(600.0, abs=3.0)
    bench.silent = {METER}
    power = bench.run(8)
    assert (power.source, power.stand_in, power.doubt) == (PowerSource.CHECK_METER, "check", Doubt.STALE)
    assert bench.metering.disagreements[0].difference_w == 0.0


def test_a_pdu_that_covers_the_load_stands_in_for_both_meters() -> None:
    bench = known()
    bench.silent = {METER, CHECK}
    bench.watts |= {FIRST: 2_000.0, SECOND: 2_000.0, PDU: 4_050.0}
    power = bench.run(10)
    assert power.source is PowerSource.CHECK_METER
    assert power.watts == pytest.approx(4_050.0 + 400.0 + 600.0, abs=5.0)


def test_devices_that_draw_more_than_the_meter_shows_are_told_of_after_a_minute() -> None:
    bench = Bench(rest_w=-500.0)
    bench.run(60)
    assert bench.metering.excess_w == 0.0
    bench.run(10)
    assert bench.metering.excess_w == pytest.approx(500.0, abs=5.0)
    bench.rest_w = 0.0
    bench.run(2)
    assert bench.metering.excess_w == 0.0


# --- the loads ---


def test_a_set_point_below_zero_is_none() -> None:
    bench = Bench()
    bench.look()
    values: dict[Quantity, float | None] = {Quantity.POWER: 100.0, Quantity.SETPOINT: -1.0}
    bench.table.sampled(FIRST, values, bench.now_s)
    bench.table.sampled(SECOND, {**values, Quantity.SETPOINT: 0.0}, bench.now_s)
    power = bench.metering.loads(bench.table.freeze(bench.now_s + 0.1), lambda: np.full(2, NAN))
    assert np.isnan(power.setpoint_w[0])
    assert power.setpoint_w[1] == 0.0


def test_where_a_figure_comes_from() -> None:
    bench = Bench()
    bench.silent = {FIRST, PDU}
    bench.look()
    assert bench.loads_power is not None
    learned = np.array([True, True])
    assert bench.loads_power.origins(learned) == [PowerOrigin.LEARNED, PowerOrigin.DEVICE]
    assert bench.loads_power.origins(~learned) == [PowerOrigin.NAMEPLATE, PowerOrigin.DEVICE]
    bench.silent = {FIRST, SECOND}
    bench.run(8)
    assert bench.loads_power.origins(learned) == [PowerOrigin.PDU, PowerOrigin.PDU]
    assert bench.loads_power.measured_w.tolist() == [3_500.0, 3_500.0]
    assert bench.loads_power.sampled_s.tolist() == [bench.now_s - 0.5] * 2


def test_nonsense_is_neither_used_nor_lost_sight_of() -> None:
    bench = known(meter_w=8_000.0)
    bench.watts[FIRST] = -3_500.0
    bench.watts[COOLING] = 1e9
    bench.run(5)
    assert bench.loads_power is not None
    assert np.isnan(bench.loads_power.measured_w[0]) or bench.loads_power.by_pdu[0]
    assert bench.metering.cooling_w == 400.0
    assert bench.metering.nonsense.counts.tolist() == [0, 0, 5, 0, 5, 0]
    # What a site meter shows is for its judge.
    bench.meter_w = -20_000.0
    bench.look()
    assert bench.metering.nonsense.counts[METER] == 0
    assert bench.metering.records[0].doubt is Doubt.JUMPING


def test_what_followed_loads_down_that_lost_their_work_is_not_forgotten_until_they_are_back() -> None:
    bench = known()
    bench.watts |= {FIRST: 200.0, SECOND: 3_500.0, PDU: 3_700.0}
    bench.rest_w = 300.0
    bench.run(120)
    assert bench.metering.uncontrolled_w is not None
    assert bench.metering.uncontrolled_w > 500.0
    bench.watts |= {FIRST: 3_500.0, PDU: 7_000.0}
    bench.run(120)
    assert bench.metering.uncontrolled_w == pytest.approx(300.0, abs=20.0)


def test_a_rest_that_grows_is_learned_while_loads_are_without_work() -> None:
    bench = known()
    bench.watts |= {FIRST: 200.0, SECOND: 3_500.0, PDU: 3_700.0}
    bench.rest_w = 650.0
    bench.run(120)
    assert bench.metering.uncontrolled_w == pytest.approx(650.0, abs=5.0)


@pytest.mark.parametrize("shown_w", [-7_000.0, 1e9])
def test_nonsense_of_a_container_that_feeds_the_loads_changes_nothing_about_them(shown_w: float) -> None:
    """Its profile knows no nameplate: what bounds it is the site's."""
    bench = known()
    before_w = bench.metering.uncontrolled_w
    bench.watts[PDU] = shown_w
    power = bench.run(30)
    assert bench.loads_power is not None
    assert bench.loads_power.measured_w.tolist() == [3_500.0, 3_500.0]
    assert not bench.loads_power.by_pdu.any()
    assert bench.metering.uncontrolled_w == pytest.approx(before_w, abs=2.0)
    assert power.watts == pytest.approx(8_000.0, abs=2.0)
    assert bench.metering.nonsense.counts[PDU] == 30
