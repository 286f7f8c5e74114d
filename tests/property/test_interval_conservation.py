"""Whatever happens to daemon, clock and meter: one record per interval and point, and no energy lost."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.timestamps import parse_utc
from tests.world.metered_site import MeteredSite

Act = Callable[[MeteredSite], None]
SECONDS = st.integers(1, 95)


def _meter_out(seconds: int) -> Act:
    def act(site: MeteredSite) -> None:
        site.meter_answers = False
        site.run(seconds)
        site.meter_answers = True

    return act


RUN = st.builds(lambda seconds: lambda site: site.run(seconds), st.floats(0.5, 95))
STALL = st.builds(lambda seconds: lambda site: site.run(seconds, cycle_s=seconds), SECONDS)
DOWN = st.builds(lambda seconds: lambda site: site.down(seconds), SECONDS)
METER_OUT = st.builds(_meter_out, SECONDS)
OLD_READINGS = st.builds(lambda age_s: lambda site: setattr(site, "reading_age_s", age_s), st.floats(0, 9))
POWER = st.builds(lambda kw: lambda site: setattr(site, "power_w", kw * 1e3), st.integers(0, 2000))
STEP = st.builds(lambda seconds: lambda site: site.step_clock(seconds), st.integers(-200, 200))
SWAP = st.builds(
    lambda number, start_wh: lambda site: site.swap_meter(f"SN-{number}", start_wh),
    st.integers(1, 99),
    st.integers(0, 10**9),
)


def _play(site: MeteredSite, acts: list[Act]) -> None:
    site.run(3)
    for act in acts:
        act(site)
        site.run(1)


@settings(max_examples=150)
@given(
    acts=st.lists(RUN | STALL | DOWN | METER_OUT | OLD_READINGS | POWER, max_size=12),
    offset_s=st.floats(0, 30),
)
def test_restarts_stalls_and_lost_meters_lose_no_energy(acts: list[Act], offset_s: float) -> None:
    site = MeteredSite(interval_s=10, true_s=1_780_099_150 + offset_s)  # half a minute before midnight
    first_wh = site.observation().points["poi"].register_wh
    assert first_wh is not None
    _play(site, acts)
    site.reading_age_s = 0.0
    site.run(25)
    total_wh = site.audit()
    last = site.records()[-1]
    assert last["reg_end_wh"] == first_wh + total_wh
    assert 0 <= site.wall_s - parse_utc(last["start"]) - 10 < 10, "the newest finished interval is recorded"
    assert site.register_wh - last["reg_end_wh"] <= 11 * site.power_w / 3600 + 1


@settings(max_examples=150)
@given(acts=st.lists(RUN | STALL | DOWN | METER_OUT | POWER | STEP | SWAP, max_size=12))
def test_clock_steps_and_changed_meters_leave_the_chain_whole(acts: list[Act]) -> None:
    site = MeteredSite(interval_s=10)
    _play(site, acts)
    assert site.builder is not None
    ahead_s = (site.builder.next_start or 0) - site.wall_s
    site.run(max(ahead_s, 0) + 100)  # a register that runs backwards is doubted for a minute
    site.audit()
    assert site.records()[-1]["kind"] == "interval", "it recovers"


@settings(max_examples=60)
@given(acts=st.lists(RUN | DOWN | METER_OUT | STEP, max_size=10))
def test_every_point_gets_the_same_intervals_in_grid_order(acts: list[Act]) -> None:
    site = MeteredSite(interval_s=10, points=("poi", "feeder-1", "feeder-2"))
    _play(site, acts)
    seen = [(body["start"], body["point"]) for body in site.bodies if "point" in body]
    points = [point for _, point in seen]
    assert points == ["poi", "feeder-1", "feeder-2"] * (len(points) // 3)
    assert [start for start, _ in seen] == sorted(start for start, _ in seen)
    assert len({site.audit(point) for point in site.points}) == 1
