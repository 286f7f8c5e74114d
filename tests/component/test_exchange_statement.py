"""A day as the exchange states it: sums, Merkle root, and whether it is closed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.world.settlement_bench import SettlementBench, settlement_bench
from tests.world.settling_site import DAY, DAY_START_S, EPOCH, root_of, word

NEXT_DAY_S = DAY_START_S + 86_400


@pytest.fixture
async def bench() -> AsyncIterator[SettlementBench]:
    async with settlement_bench() as bench:
        bench.site.open()
        yield bench


async def statement(bench: SettlementBench, day: str = DAY) -> Any:
    answer = await bench.get(f"statement?day={day}")
    assert answer.status_code == 200
    return answer.json()


async def settle(bench: SettlementBench) -> None:
    """Send all that the present epoch has."""
    assert (await bench.put(1, bench.site.seq())).status_code in {200, 201}


async def test_a_day_of_which_nothing_is_stored_is_no_data(bench: SettlementBench) -> None:
    await settle(bench)
    answer = await bench.get(f"statement?day={DAY}")
    assert (answer.status_code, word(answer)) == (404, "no-data")


async def test_a_closed_day_is_stated_as_the_site_closed_it(bench: SettlementBench) -> None:
    site = bench.site
    leaves = [
        site.interval(DAY_START_S, wh=100),
        site.interval(DAY_START_S, point="feeder", wh=60),
        site.gap(DAY_START_S + 300),
        site.gap(DAY_START_S + 600, reg_start_wh=1_100, reg_end_wh=1_150, wh=50),
        site.interval(DAY_START_S + 900, wh=7),
    ]
    site.event()
    site.day_close(leaves, 157)
    last = site.seq()
    site.interval(NEXT_DAY_S)
    await settle(bench)
    assert await statement(bench) == {
        "site": "lhe-01",
        "day": DAY,
        "closed": True,
        "count": 5,
        "wh": 157,
        "root": root_of(leaves),
        "corrections_wh": 0,
        "through": {"epoch": EPOCH, "seq": last},
    }


async def test_an_open_day_is_stated_as_far_as_it_is_stored(bench: SettlementBench) -> None:
    leaves = [bench.site.interval(DAY_START_S, wh=3), bench.site.interval(DAY_START_S + 300, wh=4)]
    await settle(bench)
    stated = await statement(bench)
    assert (stated["closed"], stated["count"], stated["wh"], stated["root"]) == (False, 2, 7, root_of(leaves))
    assert stated["through"] == {"epoch": EPOCH, "seq": 3}


@pytest.mark.parametrize("wrong", [{"count": 2}, {"wh": 99}, {"root": root_of([])}])
async def test_a_day_that_the_site_closed_otherwise_is_not_closed(
    bench: SettlementBench, wrong: dict[str, Any]
) -> None:
    leaves = [bench.site.interval(wh=100)]
    bench.site.day_close(leaves, **{"wh": 100, **wrong})
    await settle(bench)
    assert (await statement(bench))["closed"] is False


async def test_a_correction_counts_in_the_day_of_its_at_and_not_in_the_root(
    bench: SettlementBench,
) -> None:
    site = bench.site
    leaves = [site.interval(wh=100)]
    site.day_close(leaves, 100)
    site.correction(2, -30, DAY_START_S + 86_399)
    site.correction(2, -5, DAY_START_S + 86_399)
    site.correction(2, 1_000, NEXT_DAY_S)
    await settle(bench)
    stated = await statement(bench)
    assert (stated["closed"], stated["wh"], stated["corrections_wh"]) == (True, 100, -35)
    assert stated["root"] == root_of(leaves)
    following = await statement(bench, "2027-01-16")
    assert (following["closed"], following["count"], following["corrections_wh"]) == (False, 0, 1_000)


async def test_a_day_over_a_clean_change_of_epoch_is_closed(bench: SettlementBench) -> None:
    site = bench.site
    leaves = [site.interval(DAY_START_S, wh=100)]
    await settle(bench)
    site.open(EPOCH + 1, reason="operator", before=site.before())
    leaves.append(site.interval(DAY_START_S + 300, wh=20))
    site.day_close(leaves, 120)
    await settle(bench)
    stated = await statement(bench)
    assert (stated["closed"], stated["count"], stated["wh"]) == (True, 2, 120)


@pytest.mark.parametrize("reason", ["fork", "storage-loss", "restore"])
async def test_a_day_over_a_torn_epoch_is_not_closed_though_the_receipted_leaves_agree(
    bench: SettlementBench, reason: str
) -> None:
    site = bench.site
    leaves = [site.interval(DAY_START_S, wh=100)]
    await settle(bench)
    site.open(EPOCH + 1, reason=reason, before=site.before())
    leaves.append(site.gap(DAY_START_S + 300, reg_start_wh=1_100, reg_end_wh=1_120, wh=20))
    site.day_close(leaves, 120)
    await settle(bench)
    stated = await statement(bench)
    assert (stated["closed"], stated["root"], stated["wh"]) == (False, root_of(leaves), 120)


async def test_a_day_is_closed_when_the_rest_of_the_older_epoch_has_come(bench: SettlementBench) -> None:
    site = bench.site
    leaves = [site.interval(DAY_START_S, wh=100)]
    await settle(bench)
    leaves.append(site.interval(DAY_START_S + 300, wh=20))
    site.open(EPOCH + 1, reason="interval-change", before=site.before())
    leaves.append(site.interval(DAY_START_S + 600, wh=3))
    site.day_close(leaves, 123)
    await settle(bench)
    assert (await statement(bench))["closed"] is False
    await bench.put(1, 3, epoch=EPOCH)
    stated = await statement(bench)
    assert (stated["closed"], stated["wh"]) == (True, 123)


async def test_a_day_over_an_epoch_whose_end_never_came_is_not_closed(bench: SettlementBench) -> None:
    site = bench.site
    leaves = [site.interval(DAY_START_S, wh=100)]
    await settle(bench)
    site.event()
    site.open(EPOCH + 1, reason="operator", before=site.before())
    site.day_close(leaves, 100)
    await settle(bench)
    assert (await statement(bench))["closed"] is False
    await bench.put(3, 3, epoch=EPOCH)
    assert (await statement(bench))["closed"] is True


async def test_a_fork_on_a_later_day_leaves_a_closed_day_closed(bench: SettlementBench) -> None:
    site = bench.site
    site.day_close([site.interval(DAY_START_S, wh=100)], 100)
    await settle(bench)
    site.open(EPOCH + 1, reason="fork", before=site.before())
    site.gap(NEXT_DAY_S)
    await settle(bench)
    assert (await statement(bench))["closed"] is True


async def test_a_whole_day_of_intervals_is_stated(bench: SettlementBench) -> None:
    leaves = [bench.site.interval(DAY_START_S + 300 * number, wh=number) for number in range(288)]
    bench.site.day_close(leaves, sum(range(288)))
    await settle(bench)
    stated = await statement(bench)
    assert (stated["closed"], stated["count"], stated["root"]) == (True, 288, root_of(leaves))


@pytest.mark.parametrize("reason", ["fork", "storage-loss", "restore", "new", "operator"])
async def test_an_interval_that_a_newer_epoch_tells_again_counts_there_alone(
    bench: SettlementBench, reason: str
) -> None:
    """The site had no receipt for its last two intervals, or no longer has them at all."""
    site = bench.site
    kept = [site.interval(DAY_START_S, wh=100), site.interval(DAY_START_S, point="feeder", wh=40)]
    site.interval(DAY_START_S + 300, wh=20)
    kept.append(site.interval(DAY_START_S + 300, point="feeder", wh=8))
    site.interval(DAY_START_S + 600, wh=30)
    await settle(bench)
    site.open(EPOCH + 1, reason=reason, before=site.before())
    again = [
        site.gap(DAY_START_S + 300),
        site.gap(DAY_START_S + 600, reg_start_wh=1_100, reg_end_wh=1_150, wh=50),
        site.gap(DAY_START_S + 600, point="feeder", reg_start_wh=548, reg_end_wh=560, wh=12),
        site.interval(DAY_START_S + 900, wh=7),
    ]
    site.day_close(kept + again, 157)
    await settle(bench)
    stated = await statement(bench)
    assert (stated["count"], stated["wh"], stated["root"]) == (7, 157, root_of(kept + again))
    assert stated["closed"] is (reason in {"new", "operator"})


async def test_a_new_interval_replaces_nothing_of_the_one_that_it_grows_out_of(
    bench: SettlementBench,
) -> None:
    """A quarter on its new grid may begin before the last five minutes ended; its energy does not."""
    site = bench.site
    leaves = [site.interval(DAY_START_S, wh=100), site.interval(DAY_START_S + 300, wh=20)]
    await settle(bench)
    site.open(EPOCH + 1, reason="interval-change", interval_s=900, before=site.before())
    leaves.append(site.interval(DAY_START_S, wh=3, dur_s=900))
    site.day_close(leaves, 123)
    await settle(bench)
    stated = await statement(bench)
    assert (stated["closed"], stated["count"], stated["wh"]) == (True, 3, 123)


async def test_what_is_told_again_on_the_day_before_counts_there(bench: SettlementBench) -> None:
    site = bench.site
    site.interval(DAY_START_S + 85_800, wh=100)
    site.interval(NEXT_DAY_S, wh=20)
    await settle(bench)
    site.open(EPOCH + 1, reason="restore", before=site.before())
    site.gap(DAY_START_S + 85_800)
    site.gap(DAY_START_S + 86_100)
    site.gap(NEXT_DAY_S, reg_start_wh=1_000, reg_end_wh=1_121, wh=121)
    await settle(bench)
    assert [(await statement(bench, day))["wh"] for day in ("2027-01-15", "2027-01-16")] == [0, 121]
    assert [(await statement(bench, day))["count"] for day in ("2027-01-15", "2027-01-16")] == [2, 1]
