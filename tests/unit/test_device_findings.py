"""Devices that are not what their profiles say are named, once, with what to do."""

import pytest

from daemon.cycle.alarms import Alarm
from daemon.cycle.findings import findings
from drivers.ports import Absence
from drivers.quantity import Quantity
from tests.world.pure_site import PureSite


@pytest.fixture
def site() -> PureSite:
    site = PureSite.build(miners=8, racks=0)
    site.run(5)
    return site


def found(site: PureSite) -> dict[str, Alarm]:
    result = site.controller.cycle(site.now, records_writable=True)
    return findings(site.controller, result, records_writable=True)


def name_of(site: PureSite, row: int) -> str:
    return site.layout.devices[row].id


def test_a_site_whose_devices_are_what_they_should_be_has_no_such_alarm(site: PureSite) -> None:
    site.table.failed(0, Absence.TIMED_OUT)

    assert not {"wrong-device", "refused-points"} & found(site).keys()


def test_what_is_not_what_its_profile_says_is_named(site: PureSite) -> None:
    site.table.failed(2, Absence.WRONG_DEVICE)

    assert found(site)["wrong-device"].text == (
        "something else than their profiles say answers, and is neither used nor ordered: "
        f"{name_of(site, 2)}; mend the address or the profile"
    )
    site.run(1)
    assert "wrong-device" not in found(site)


def test_what_refuses_some_of_its_points_is_named_with_them(site: PureSite) -> None:
    site.table.refused(1, {Quantity.SERIAL, Quantity.ENERGY_IMPORT})
    site.table.refused(3, {Quantity.HASHRATE})

    assert found(site)["refused-points"].text == (
        "do not let themselves be asked for what their profiles say: "
        f"{name_of(site, 1)} (energy_import, serial), {name_of(site, 3)} (hashrate); mend the profiles"
    )
    site.table.refused(1, ())
    site.table.refused(3, ())
    assert "refused-points" not in found(site)


def test_of_many_a_few_are_named(site: PureSite) -> None:
    for row in range(7):
        site.table.failed(row, Absence.WRONG_DEVICE)

    text = found(site)["wrong-device"].text
    assert name_of(site, 4) in text
    assert name_of(site, 5) not in text
    assert " and 2 more; " in text


def test_a_limit_below_what_nothing_can_shed_is_told_in_parts_and_everything_is_shed() -> None:
    site = PureSite.build(miners=8, racks=0)
    names = [site.layout.devices[row].id for row in site.layout.loads.rows.tolist()]
    site.plant.model.set_disobeys(names[0], True)  # noqa: FBT003 - a fault is switched on or off
    site.controller.excluded_until[1] = float("inf")
    site.quota((0, None))
    site.run(60)
    site.quota((0, 1))
    site.run(60)

    controller = site.controller
    assert (controller.memory.level[2:] == 0).all()
    text, last = found(site)["unreachable"].text, controller.last
    assert last is not None
    assert last.lowest_w is not None
    short, _, parts = text.partition(": ")
    assert short == (
        f"the limit 0.000 MW lies {(last.lowest_w - 1) / 1e6:.3f} MW below what the site can go down to"
    )
    assert [part.split(" MW ")[1] for part in parts.split(", ")] == [
        "uncontrolled",
        "cooling",
        "6 loads asleep",
        f"1 that do not follow ({names[0]})",
        f"1 excluded or never seen ({names[1]})",
    ]
    assert sum(float(part.split(" MW ")[0]) for part in parts.split(", ")) * 1e6 == pytest.approx(
        last.lowest_w, abs=2_500
    )
