"""Four hundred days of one site, with everything that happens in such a time: every interval once."""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from daemon.ledger import IntervalBuilder, Ledger, Recorder
from daemon.ledger.chain import payload_of
from daemon.signing import PrivateKey
from daemon.store import Store
from daemon.timestamps import parse_utc
from tests.world.inline_store import connect_inline
from tests.world.metered_site import MIDNIGHT, MeteredSite, SiteClock, audit

KEY = PrivateKey.from_seed(b"\x07" * 32)
DAYS = 400
INTERVAL_S = int(os.environ.get("LEDGER_INTERVAL_S", "7200"))
"""`make crash` takes the 300 s of a real site."""
POINTS = ("poi", "feeder")
COMMON = {"v", "site", "epoch", "seq", "prev", "fw"}


def happen(site: MeteredSite, rng: random.Random) -> bool:
    """Something that happens to a site; whether the daemon died of it."""
    match rng.randrange(12):
        case 0:
            site.down(rng.choice([3, 90, INTERVAL_S, 3.3 * INTERVAL_S, 86_400 * 1.4]))
            return True
        case 1:
            site.step_clock(rng.choice([-3600, 3600]))
        case 2:
            site.step_clock(-site.clock_error_s)
        case 3:
            site.step_clock(rng.choice([-1, 1, -0.4, 4, -7]))
        case 4:
            site.swap_meter(f"SN-{rng.randrange(10**6)}", rng.choice([0, 17, 2**40]))
        case 5:
            site.swap_meter(site.meter_sn, 0)
        case 6:
            site.meter_answers = False
        case 7:
            site.power_w = rng.choice([0.0, 120_000.0, 900_000.0])
        case _:
            site.meter_answers = True
    return False


@pytest.mark.timeout(0)
async def test_every_interval_is_there_once(tmp_path: Path) -> None:
    rng = random.Random(400)
    site = MeteredSite(interval_s=INTERVAL_S, points=POINTS, true_s=float(MIDNIGHT))
    store = await Store.open(tmp_path / "site.db", connect_inline)
    ledger = await opened(store, site)
    recorder = Recorder(ledger, IntervalBuilder(INTERVAL_S, POINTS, {}))
    end_s = MIDNIGHT + DAYS * 86_400
    while site.true_s < end_s:
        if rng.random() < 0.02 and happen(site, rng):
            ledger = await opened(store, site)
            recorder = Recorder(ledger, IntervalBuilder(INTERVAL_S, POINTS, await ledger.baselines()))
        site._pass(min(INTERVAL_S / 4, rng.choice([200.0, 1800.0, 1800.0])))
        recorder.observe(site.observation())
        assert await recorder.flush()
    bodies = await contents(ledger)
    baselines = await ledger.baselines()
    await store.close()
    for point in POINTS:
        own = [each for each in bodies if each.get("point") == point]
        starts = [parse_utc(each["start"]) for each in own]
        assert starts == list(range(MIDNIGHT, MIDNIGHT + len(own) * INTERVAL_S, INTERVAL_S))
        assert len(own) >= DAYS * 86_400 // INTERVAL_S - 2 * 3600 // INTERVAL_S - 2
        changed_wh = sum(
            each["detail"]["reg_end_wh"] - each["detail"]["reg_start_wh"]
            for each in bodies
            if each.get("what") == "meter-changed" and each["detail"]["point"] == point
        )
        first_wh = next(each["reg_start_wh"] for each in own if each["reg_start_wh"] is not None)
        base = baselines[point]
        flowed_wh = (base.register_wh or 0) - first_wh + changed_wh - base.offset_wh
        assert audit(bodies, INTERVAL_S, point) == flowed_wh
    closed = [each["day"] for each in bodies if each["kind"] == "day_close"]
    assert len(closed) == len(set(closed)) >= DAYS - 1
    kinds = {each["kind"] for each in bodies} | {each["reason"] for each in bodies if each["kind"] == "gap"}
    assert {"interval", "gap", "event", "day_close", "no-clock", "down"} <= kinds


async def opened(store: Store, site: MeteredSite) -> Ledger:
    return await Ledger.open(
        store,
        site="lhe-01",
        key=KEY,
        fw="1",
        clock=SiteClock(site),
        interval_s=INTERVAL_S,
        points=POINTS,
    )


async def contents(ledger: Ledger) -> list[dict[str, Any]]:
    members = [
        payload_of(record.jws)
        for state in ledger.epochs
        for record in await ledger.records(state.epoch, 1, 10**7)
    ]
    return [{name: value for name, value in each.items() if name not in COMMON} for each in members]
