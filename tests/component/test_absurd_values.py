"""What no device can mean, over the wire, of every kind of device: not used, counted and shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon.cycle.report import device_objects
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.virtual_site import VirtualSite

MINER, RACK, PDU, METER = "m-01-01", "rack-01", "pdu-01", "meter"
"""Over Modbus, over MQTT, and again over Modbus."""
WRONG = {"absurd": 400.0, "negative": -1.0, "none": None}
"""What a device shows of its power, times this; `None` = not available, in the words of its wire."""


@contextmanager
def showing(site: VirtualSite, device: str, factor: float | None) -> Iterator[None]:
    """A device shows something else than it should."""
    model, faults = site.plant.truth, site.plant.faults[device]
    if factor is None:
        faults.unavailable = True
        yield
        faults.unavailable = False
    elif device == METER:
        model.meters[METER].gain = factor
        yield
        model.meters[METER].gain = 1.0
    else:
        fleet = model.feeders if device == PDU else model.fleet
        row = fleet.index[device]
        before = float(fleet.reading_factor[row])
        fleet.reading_factor[row] = factor * before
        yield
        fleet.reading_factor[row] = before


def told_of(site: VirtualSite, device: str) -> dict[str, Any]:
    """What the daemon shows of a device."""
    assert site.daemon is not None
    loop = site.daemon._loop
    assert loop.controller.last is not None
    return next(
        each for each in device_objects(loop.controller, loop.controller.last) if each["id"] == device
    )


def alarms(site: VirtualSite) -> set[str]:
    """Ids of those that stand."""
    assert site.daemon is not None
    return {each["id"] for each in site.daemon._loop.alarms.standing()}


def played(folder: Path, then: Callable[[VirtualSite], Any]) -> None:
    """At a site that is held at 70 %."""

    async def scenario(loop: VirtualLoop) -> None:
        async with VirtualSite(
            loop, folder, miners=8, racks=1, pdus=1, disobedient_share=0.0, period_s=4.0
        ) as site:
            await site.start()
            site.dispatcher.quota((0, int(0.7 * site.full_w)))
            await site.run(70)
            await then(site)

    run_virtual(scenario)


@pytest.mark.parametrize(
    ("device", "names"),
    # The registers of these miners and PDUs have no sign.
    [(MINER, ("absurd", "none")), (RACK, tuple(WRONG)), (PDU, ("absurd", "none"))],
)
def test_what_a_device_cannot_draw_is_not_used_counted_and_shown(
    tmp_path: Path, device: str, names: tuple[str, ...]
) -> None:
    async def then(site: VirtualSite) -> None:
        assert site.daemon is not None
        loop, limit_w = site.daemon._loop, 0.7 * site.full_w
        metering = loop.controller.metering
        before_w = metering.uncontrolled_w
        for name in names:
            factor = WRONG[name]
            counted = told_of(site, device)["nonsense"]
            with showing(site, device, factor):
                await site.run(20)
                told = told_of(site, device)
                if factor is None:
                    assert told["values"].get("power") is None
                else:
                    assert told["nonsense"] > counted, name
                    assert "nonsense" in alarms(site)
                power = told["power"]
                assert power is None or 0 <= power["watts"] <= 1.1 * site.full_w
                assert site.plant.truth.true_power_w <= limit_w
                # Nothing of it is taken for load that nobody controls.
                assert metering.uncontrolled_w == pytest.approx(before_w, abs=0.02 * site.full_w)
            await site.run(10)
            assert "nonsense" not in alarms(site)
        assert site.plant.truth.true_power_w > 0.5 * site.full_w

    played(tmp_path, then)


@pytest.mark.parametrize("factor", WRONG.values(), ids=WRONG)
def test_what_the_site_cannot_draw_is_not_taken_from_its_meter(tmp_path: Path, factor: float | None) -> None:
    async def then(site: VirtualSite) -> None:
        assert site.daemon is not None
        controller = site.daemon._loop.controller
        before_w, drawn_w = controller.metering.uncontrolled_w, site.plant.truth.true_power_w
        with showing(site, METER, factor):
            await site.run(30)
            last = controller.last
            assert last is not None
            assert last.power.doubt is not None
            assert last.power.watts == pytest.approx(drawn_w, rel=0.1)
            assert not last.power.may_rise
            assert controller.metering.uncontrolled_w == pytest.approx(before_w, abs=0.02 * site.full_w)
        await site.run(75)
        last = controller.last
        assert last is not None
        assert last.power.doubt is None

    played(tmp_path, then)
