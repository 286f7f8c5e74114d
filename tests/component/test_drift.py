"""Loads that leave their orders, in the whole daemon: told again at once, and named if in vain."""

from pathlib import Path

from sim_devices.physics import Load
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.virtual_site import VirtualSite

PERIOD_S = 2.0


async def _limited(site: VirtualSite, share: float) -> int:
    """The site is held at a share of its nameplate."""
    await site.start()
    site.dispatcher.quota((0, None))
    await site.run(40)
    limit_w = int(share * site.full_w)
    site.dispatcher.quota((0, limit_w))
    await site.run(120)
    assert site.plant.truth.true_power_w <= limit_w
    return limit_w


def _asleep(site: VirtualSite) -> list[Load]:
    return [load for load in site.plant.truth.loads.values() if load.asleep and not load.disobeys]


def _disobedient(site: VirtualSite) -> list[Load]:
    return [load for load in site.plant.truth.loads.values() if load.disobeys]


def test_what_woke_with_its_gateway_is_put_back_as_soon_as_it_is_seen(tmp_path: Path) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        async with VirtualSite(loop, tmp_path, miners=40, racks=0, period_s=PERIOD_S) as site:
            limit_w = await _limited(site, 0.4)
            woken = _asleep(site)[:12]
            assert len(woken) == 12
            for load in woken:
                site.plant.faults[load.id].reboot()
            asleep_w = {load.id: load.draw_w for load in woken}
            seen_s: dict[str, float] = {}
            told_s: dict[str, float] = {}
            for _ in range(60):
                await site.run(1)
                for load in woken:
                    if load.draw_w > asleep_w[load.id] + 100:
                        seen_s.setdefault(load.id, loop.time())
                    if load.ordered_w is not None:
                        told_s.setdefault(load.id, loop.time())
            assert told_s.keys() == {load.id for load in woken}
            # One poll until it shows, one cycle until it is judged, one request.
            assert max(told_s[name] - seen_s.get(name, told_s[name]) for name in told_s) <= PERIOD_S + 2
            assert all(load.ordered_w == 0 for load in woken)
            await site.run(30)
            assert site.plant.truth.true_power_w <= limit_w
            assert all(load.asleep for load in woken)

    run_virtual(scenario)


def test_who_ignores_its_orders_is_named_with_what_it_costs(tmp_path: Path) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        async with VirtualSite(loop, tmp_path, miners=40, racks=0, pdus=0, period_s=PERIOD_S) as site:
            rebels = list(site.plant.truth.loads.values())[::4]
            for rebel in rebels:
                site.plant.faults[rebel.id].disobey = True
            await site.start()
            site.dispatcher.quota((0, None))
            await site.run(40)
            site.dispatcher.quota((0, 0))
            await site.run(120)
            text = [
                event["text"]
                for event in site.dispatcher.events
                if event["type"] == "alarm" and event["alarm"] == "disobeying"
            ][-1]
            assert f"and {len(_disobedient(site)) - 5} more" in text
            costs_w = {load.id: load.reported_w - load.behaviour.sleep_w for load in _disobedient(site)}
            costliest = max(costs_w, key=lambda name: costs_w[name])
            assert f"which costs {sum(costs_w.values()) / 1e6:.3f} MW: {costliest} " in text

    run_virtual(scenario)
