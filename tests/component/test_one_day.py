"""One simulated day of the whole daemon: every state, every interval, every watt-hour."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from daemon.signing import loads, parse
from daemon.timestamps import format_utc, parse_utc
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.virtual_site import SITE, VirtualSite

pytestmark = pytest.mark.timeout(900)  # the day is played once, by the first test: some 4 min of CPU

MIDNIGHT_S = 20_718 * 86_400
HOUR_S = 3600.0
DAY_S = 86_400
INTERVAL_S = 300


@dataclass
class _Day:
    full_w: float = 0.0
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The published state at moments of the day."""
    statuses: list[str] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    """As the exchange holds them."""
    register_wh: dict[float, int] = field(default_factory=dict)
    """The meter's own register by wall time."""
    powers: list[tuple[float, float, float]] = field(default_factory=list)
    """(wall time, true power, floor) for every step of the plant."""


async def _play(loop: VirtualLoop, folder: Path) -> _Day:
    day = _Day()
    site = VirtualSite(loop, folder, miners=7, racks=0, period_s=30.0, wall_s=MIDNIGHT_S)
    async with site:
        site.dispatcher.lease_every_s = 30.0
        day.full_w = site.full_w
        await _morning(site, day)
        await _afternoon(site, day)
        await site.run(MIDNIGHT_S + DAY_S + 2 * INTERVAL_S - site.clock.wall())
        await site.stop()
        day.statuses = [answer["status"] for answer in site.dispatcher.answers]
        head = site.exchange.book.head(SITE)
        assert head is not None
        known = site.exchange.book.known(SITE, head.epoch, 1, head.seq)
        day.records = [loads(parse(jws).payload) for _, jws in sorted(known.items())]
        day.register_wh = {moment.wall_s: moment.register_wh for moment in site.plant.history}
        day.powers = [(m.wall_s, m.true_power_w, m.floor_w) for m in site.plant.history]
    return day


async def _morning(site: VirtualSite, day: _Day) -> None:
    site.dispatcher.leasing = False
    await site.start()
    await site.run(60)
    day.states["nobody has spoken"] = site.state
    await site.run(100)
    day.states["nobody speaks"] = site.state
    site.dispatcher.leasing = True
    site.dispatcher.quota(
        (0, None),
        (2 * HOUR_S, int(day.full_w * 0.6)),
        (4 * HOUR_S, 0),
        (5 * HOUR_S, None),
    )
    await site.run(HOUR_S)
    day.states["released"] = site.state
    await site.run(2 * HOUR_S)
    day.states["limited"] = site.state
    await site.run(1.5 * HOUR_S)
    day.states["zero"] = site.state
    await site.run(2 * HOUR_S)
    day.states["restored"] = site.state


async def _afternoon(site: VirtualSite, day: _Day) -> None:
    site.dispatcher.leasing = False
    await site.run(HOUR_S)
    day.states["silence"] = site.state
    site.dispatcher.leasing = True
    await site.run(HOUR_S)
    day.states["back"] = site.state
    site.dispatcher.command("hold", {"limit_w": int(day.full_w * 0.4), "reason": "work on feeder 2"})
    await site.run(HOUR_S)
    day.states["held"] = site.state
    await site.stop()
    await site.start()
    await site.run(30)
    day.states["held after a restart"] = site.state
    site.dispatcher.command("release_hold")
    await site.run(600)
    day.states["let go"] = site.state


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> _Day:
    folder = tmp_path_factory.mktemp("day")
    return run_virtual(lambda loop: _play(loop, folder))


@pytest.mark.parametrize(
    ("moment", "state", "source", "limit_share"),
    [
        ("nobody has spoken", "init", "failsafe", 0.3),
        ("nobody speaks", "failsafe", "failsafe", 0.3),
        ("released", "controlled", "contract", 1.15),
        ("limited", "limited", "quota", 0.6),
        ("zero", "limited", "quota", 0.0),
        ("restored", "controlled", "contract", 1.15),
        ("silence", "failsafe", "failsafe", 0.3),
        ("back", "controlled", "contract", 1.15),
        ("held", "controlled", "hold", 0.4),
        ("held after a restart", "controlled", "hold", 0.4),
        ("let go", "controlled", "contract", 1.15),
    ],
)
def test_the_limit_in_force_is_whose_it_should_be(
    day: _Day, moment: str, state: str, source: str, limit_share: float
) -> None:
    seen = day.states[moment]
    assert (seen["state"], seen["limit_source"]) == (state, source)
    assert seen["limit_w"] == pytest.approx(limit_share * day.full_w, abs=1)


def test_announced_limits_are_met_from_their_first_second(day: _Day) -> None:
    """Every minute's mean and every second, though meter and cooling are read every 30 s only."""
    quota_s = MIDNIGHT_S + 160
    minutes: dict[int, list[float]] = {}
    over = []
    for from_s, to_s, share in [(2 * HOUR_S, 4 * HOUR_S, 0.6), (4 * HOUR_S, 5 * HOUR_S, 0.0)]:
        for wall_s, power_w, floor_w in day.powers:
            at_s = wall_s - quota_s
            if not from_s + 1 < at_s < to_s:
                continue
            allowed_w = max(share * day.full_w, floor_w * 1.001)
            minutes.setdefault(int(at_s) // 60, []).append(power_w - allowed_w)
            if power_w > allowed_w:
                over.append((at_s, power_w, floor_w))
    assert len(minutes) == 180
    assert [minute for minute, excess_w in minutes.items() if sum(excess_w) > 0] == []
    assert over == []


def test_a_limit_is_used_and_a_release_gives_everything_back(day: _Day) -> None:
    limited = day.states["limited"]
    assert 0.9 * limited["limit_w"] < limited["power_w"] <= limited["limit_w"]
    assert day.states["restored"]["power_w"] > 0.97 * day.states["released"]["power_w"]
    assert day.states["zero"]["devices"]["curtailed"] == 7


def test_every_interval_of_the_day_is_settled_once_and_in_order(day: _Day) -> None:
    kinds = [record["kind"] for record in day.records]
    assert kinds[0] == "epoch_open"
    assert [record["seq"] for record in day.records] == list(range(1, len(day.records) + 1))
    settled = [record for record in day.records if record["kind"] in {"interval", "gap"}]
    today = [record for record in settled if record["start"] < format_utc(MIDNIGHT_S + DAY_S)]
    expected = [format_utc(MIDNIGHT_S + index * INTERVAL_S) for index in range(DAY_S // INTERVAL_S)]
    assert [record["start"] for record in today] == expected
    assert kinds.count("day_close") == 1


def test_the_day_s_energy_is_the_difference_of_the_meter_s_register(day: _Day) -> None:
    settled = [record for record in day.records if record["kind"] in {"interval", "gap"}]
    carried = [record for record in settled if record["reg_end_wh"] is not None]
    total_wh = sum(record["wh"] or 0 for record in settled)
    assert total_wh == carried[-1]["reg_end_wh"] - carried[0]["reg_start_wh"]
    start_s, end_s = parse_utc(carried[0]["start"]), parse_utc(carried[-1]["start"]) + INTERVAL_S
    true_wh = day.register_wh[end_s] - day.register_wh[start_s + 1]
    # The meter is read every 30 s: at full load that is some 370 Wh at each end.
    assert total_wh == pytest.approx(true_wh, abs=750)


def test_the_operator_was_answered(day: _Day) -> None:
    # The quota, the hold and its release: each accepted, then done.
    assert day.statuses == ["accepted", "done"] * 3
