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
