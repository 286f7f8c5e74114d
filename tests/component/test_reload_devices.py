"""Devices come, go and hang elsewhere while the site runs: whoever stays notices nothing of it."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from daemon.config import load_config
from daemon.cycle.layout import SiteLayout
from daemon.cycle.report import device_objects
from daemon.metering.measuring import Metering
from daemon.site_draft import SiteDraft
from drivers.address import ModbusTcpAddress
from drivers.modbus.link import Link
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.settled_book import SettledBook
from tests.world.virtual_site import SITE, VirtualSite

PERIOD_S, TICK_S = 5.0, 0.02
PDU = ("pdu-01",)
"""What measures more loads than are configured contradicts them, which is another story."""


class WatchedSite(VirtualSite):
    """Can take devices out of its configuration and put them back, and looks at who is polled and ordered."""

    async def first(self, *without: str, share: float = 0.6, rest_s: float = 400) -> float:
        """Start without some of the devices, and hold the site at a share of its nameplate, its limit."""
        self.whole = re.sub(r"fed_by = .*\n", "", self.path.read_text(encoding="utf-8"))
        self.without(*PDU, *without)
        self.config = load_config(self.path)
        await self.start()
        await self.run(20)
        limit_w = round(share * self.full_w)
        self.dispatcher.quota((0, limit_w))
        await self.run(rest_s)
        self._watch()
        return limit_w

    @property
    def path(self) -> Path:
        return self._folder / "site.toml"

    def without(self, *names: str) -> None:
        """Write the configuration without the entries of some devices, by their ids there."""
        self.rewrite(lambda entry: "" if entry.partition('id = "')[2].partition('"')[0] in names else entry)

    def rewrite(self, change: Callable[[str], str]) -> None:
        """Change the entries of the devices."""
        parts = re.split(r"(?=^\[\[)", self.whole, flags=re.MULTILINE)
        changed = [change(part) if part.startswith("[[devices]]") else part for part in parts]
        self.path.write_text("".join(changed), encoding="utf-8")

    async def reload(self) -> list[str]:
        """What is said to it."""
        assert self.daemon is not None
        self.daemon.reloader.ask("test")
        await self.run(0.5)
        outcome = self.daemon.reloader.outcome("test")
        assert outcome is not None
        return outcome

    def _watch(self) -> None:
        assert self.daemon is not None
        table, controller = self.daemon._devices.table, self.daemon._loop.controller
        self.polls: dict[str, list[float]] = {}
        swept = table.swept

        def heard(row: int, started: float, slow: bool) -> None:  # noqa: FBT001  FleetSink
            if not slow:
                self.polls.setdefault(controller.layout.devices[row].id, []).append(started)
            swept(row, started, slow)

        table.swept = heard  # type: ignore[method-assign]
        self.before = self.links()
        self.orders = self.ordered()

    def links(self) -> dict[str, object]:
        """By end, what the requests go over."""
        assert self.daemon is not None
        links = self.daemon._devices.fleet._modbus._assembly.links
        return {link.name: link._line._transport for link in links if isinstance(link, Link)}  # type: ignore[attr-defined]

    def ordered(self) -> dict[str, float]:
        """What every load of the plant holds."""
        fleet = self.plant.truth.fleet
        return {
            name: float(np.nan_to_num(fleet.ordered_w[row], nan=-1.0)) for name, row in fleet.index.items()
        }

    async def held_for(self, seconds: int, limit_w: float) -> float:
        """Let time pass; the most that the site drew beyond its limit."""
        beyond_w = 0.0
        for _ in range(seconds):
            await self.run(1)
            beyond_w = max(beyond_w, self.plant.truth.true_power_w - limit_w)
        return beyond_w

    def assert_unnoticed(self, *but: str) -> None:
        """Every device but these was polled on time, over the same connection."""
        after = self.links()
        for device in self.config.devices:
            if device.id in but:
                continue
            if isinstance(device.address, ModbusTcpAddress):
                name = f"{device.address.host}:{device.address.port}"
                assert after[name] is self.before[name], device.id
                gaps_s = np.diff(self.polls[device.id])
                assert len(gaps_s) >= 5
                assert np.abs(gaps_s - PERIOD_S).max() < 2 * TICK_S, (device.id, gaps_s)


def played(folder: Path, story: Callable[[WatchedSite], Awaitable[None]], **options: Any) -> None:
    """Play a story on a site in virtual time."""

    async def main(loop: VirtualLoop) -> None:
        async with WatchedSite(
            loop, folder, disobedient_share=0.0, control="ramp_up_pct_per_min = 100", **options
        ) as site:
            await story(site)

    run_virtual(main)


def ids(site: WatchedSite) -> set[str]:
    """The devices that it has."""
    assert site.daemon is not None
    return {device.id for device in site.daemon._loop.controller.layout.devices}


ADDED = ("m-01-03", "m-01-{04-05}")


def test_devices_are_added_under_load(tmp_path: Path) -> None:
    async def story(site: WatchedSite) -> None:
        limit_w = await site.first(*ADDED, share=0.8)
        assert site.ordered()["m-01-01"] > 0
        assert "m-01-03" not in ids(site)
        site.without(*PDU)

        assert await site.reload() == []
        # At once they are there, and nobody pays for it while they are looked at.
        assert "m-01-03" in ids(site)
        assert await site.held_for(60, limit_w) <= 0.005 * limit_w
        old = [name for name in site.orders if name not in {"m-01-03", "m-01-04", "m-01-05"}]
        assert [site.ordered()[name] for name in old] == [site.orders[name] for name in old]
        site.assert_unnoticed("pdu-01", "m-01-03", "m-01-04", "m-01-05")
        # They are controlled, and with the others they make room for half.
        site.dispatcher.quota((0, round(limit_w / 2)))
        await site.run(60)
        assert await site.held_for(60, limit_w / 2) <= 0
        assert site.ordered()["m-01-03"] >= 0
        # The ledger went on.
        await site.run(400)
        book = SettledBook(site.exchange, SITE)
        book.assert_unbroken(300)
        assert len(book.intervals()) >= 2
        assert {record["quality"] for record in book.intervals()[1:]} == {book.intervals()[1]["quality"]}

    played(tmp_path, story, racks=0)


def test_devices_are_removed_under_load(tmp_path: Path) -> None:
    async def story(site: WatchedSite) -> None:
        limit_w = await site.first(share=0.8)
        assert site.daemon is not None
        controller = site.daemon._loop.controller
        uncontrolled_w = controller.metering.uncontrolled_w
        site.without(*PDU, *ADDED)
        loads, before = site.plant.truth.fleet, dict(site.polls)
        drawn_w = sum(float(loads.draw_w[loads.index[name]]) for name in ("m-01-03", "m-01-04", "m-01-05"))

        # At once, without waiting for the meter.
        layout = SiteLayout.of(load_config(site.path))
        after, looked = Metering(layout.instruments, layout.loads), controller.last
        assert uncontrolled_w is not None
        assert looked is not None
        counted_w = np.nan_to_num(looked.loads_power.measured_w)
        after.take_over(controller.metering, layout.heirs_of(controller.layout), counted_w, 0.0)
        assert after.uncontrolled_w is not None
        assert abs(after.uncontrolled_w - uncontrolled_w - drawn_w) <= 0.05 * drawn_w

        assert await site.reload() == []
        assert controller.metering.uncontrolled_w is not None
        assert controller.metering.uncontrolled_w - uncontrolled_w >= 0.9 * drawn_w
        assert await site.held_for(60, limit_w) <= 0.005 * limit_w

        assert site.ordered() == site.orders
        site.assert_unnoticed("m-01-03", "m-01-04", "m-01-05")
        assert controller.metering.uncontrolled_w - uncontrolled_w <= 1.1 * drawn_w + 100
        assert [site.polls.get(name, []) for name in ("m-01-03", "m-01-04")] == [
            before.get(name, []) for name in ("m-01-03", "m-01-04")
        ]
        assert not any("127.0.20.3:" in name for name in site.links())

    played(tmp_path, story, racks=0)


def test_new_devices_are_not_ordered_about_before_the_meter_was_read_beside_them(tmp_path: Path) -> None:
    async def story(site: WatchedSite) -> None:
        limit_w = await site.first(*ADDED, share=0.8)
        site.without(*PDU)

        assert await site.reload() == []
        lower_w = round(0.9 * limit_w)
        site.dispatcher.quota((0, lower_w))
        await site.run(1.5)
        assert site.ordered() != site.orders
        assert {site.ordered()[name] for name in ("m-01-03", "m-01-04", "m-01-05")} == {-1.0}
        await site.run(30)
        assert await site.held_for(60, lower_w) <= 0

    played(tmp_path, story, racks=0)


def test_devices_change_places_under_load(tmp_path: Path) -> None:
    async def story(site: WatchedSite) -> None:
        limit_w = await site.first("m-01-06", share=0.8)
        assert site.daemon is not None
        learned = _learned(site)

        def moved(entry: str) -> str:
            if 'id = "pdu-01"' in entry or 'id = "m-01-{04-05}"' in entry:
                return ""
            if 'id = "m-01-03"' in entry:
                return entry.replace('circuit = "hall-a"', 'circuit = "annex"')
            return entry.replace("period_s = 5.0", "period_s = 2.0") if 'id = "cooling"' in entry else entry

        # The file is turned over as well: every device has another row.
        site.rewrite(moved)
        text = site.path.read_text(encoding="utf-8")
        head, *entries = re.split(r"(?=^\[\[devices)", text, flags=re.MULTILINE)
        annex = '[[circuits]]\nid = "annex"\nmax_mw = 0.0021\n'
        site.path.write_text(head + annex + "".join(reversed(entries)), encoding="utf-8")

        assert await site.reload() == []
        assert await site.held_for(60, limit_w) <= 0.005 * limit_w

        site.assert_unnoticed("cooling", "m-01-04", "m-01-05")
        assert np.abs(np.diff(site.polls["cooling"])[-10:] - 2.0).max() < 2 * TICK_S
        loads = site.plant.truth.fleet
        assert float(loads.draw_w[loads.index["m-01-03"]]) <= 2_100
        assert _learned(site)["m-01-01"] == learned["m-01-01"]

    played(tmp_path, story, racks=0)


def _learned(site: WatchedSite) -> dict[str, list[float]]:
    """What was learned of each load's levels, to 50 W."""
    assert site.daemon is not None
    controller = site.daemon._loop.controller
    rows = controller.layout.loads.rows.tolist()
    levels = np.round(controller.memory.learned_w / 50) * 50
    tops = controller.layout.loads.top.tolist()
    names = [controller.layout.devices[row].id for row in rows]
    return {name: found[: top + 1].tolist() for name, found, top in zip(names, levels, tops, strict=True)}


def test_the_first_rack_over_the_broker_comes_and_goes(tmp_path: Path) -> None:
    async def story(site: WatchedSite) -> None:
        limit_w = await site.first("rack-01", share=0.9)
        assert site.daemon is not None
        assert _lane(site) is None
        site.without(*PDU)

        assert await site.reload() == []
        assert await site.held_for(60, limit_w) <= 0.005 * limit_w
        site.assert_unnoticed("rack-01")
        snapshot = site.daemon._loop.controller.last
        assert snapshot is not None
        assert snapshot.snapshot.ok.all()

        site.without(*PDU, "rack-01")
        assert await site.reload() == []
        assert await site.held_for(60, limit_w) <= 0.005 * limit_w
        site.assert_unnoticed("rack-01")
        bus = _lane(site).bus
        assert not [topic for topic, _ in bus._handlers if "rack-01" in topic]

    played(tmp_path, story)


def test_a_broken_file_with_other_devices_changes_nothing(tmp_path: Path) -> None:
    async def story(site: WatchedSite) -> None:
        limit_w = await site.first(*ADDED, share=0.8)
        assert site.daemon is not None
        site.rewrite(lambda entry: entry.replace("modbus://127.0.20.3:5020/1", "modbus://127.0.20.3:5020/x"))
        known, controller = ids(site), site.daemon._loop.controller
        parts = controller.memory, controller.metering, controller.dispatcher

        (problem,) = await site.reload()
        assert "address" in problem
        assert await site.held_for(30, limit_w) <= 0.005 * limit_w

        assert ids(site) == known
        assert (controller.metering, controller.dispatcher) == parts[1:]
        assert site.ordered() == site.orders
        site.assert_unnoticed()

    played(tmp_path, story, racks=0)


def test_the_meters_that_are_settled_by_stay_until_a_restart(tmp_path: Path) -> None:
    async def story(site: WatchedSite) -> None:
        await site.first(rest_s=20)
        site.rewrite(lambda entry: entry.replace('id = "meter"', 'id = "meter-2"'))

        (problem,) = await site.reload()

        assert "devices: the meters that are settled by have changed (meter, meter-2); restart" in problem
        assert "meter-2" not in ids(site)

    played(tmp_path, story, racks=0)


def test_whoever_looks_right_after_sees_the_devices_that_there_are(tmp_path: Path) -> None:
    async def story(site: WatchedSite) -> None:
        await site.first(rest_s=20)
        site.without(*PDU, *ADDED)
        assert site.daemon is not None
        controller = site.daemon._loop.controller

        draft = SiteDraft.of(load_config(site.path), site.config, controller.layout)
        assert draft.news == "devices: 3 removed"
        site.daemon.go_by(draft)

        last = controller.last
        assert last is not None
        assert [device["id"] for device in device_objects(controller, last)] == [
            device.id for device in controller.layout.devices
        ]
        assert site.daemon._report.state()["devices"]["total"] == len(ids(site))
        assert controller.hypothetical(0, last.moment) is not None

    played(tmp_path, story, racks=0)


def test_a_shorter_lease_is_shorter_at_once(tmp_path: Path) -> None:
    async def story(site: WatchedSite) -> None:
        await site.first(rest_s=20)
        site.dispatcher.leasing = False
        await site.run(30)
        assert site.state["state"] == "limited"
        site.whole = site.whole.replace("[control]\n", "[control]\nlease_timeout_s = 20\n")
        site.without(*PDU)

        assert await site.reload() == []
        await site.run(3)

        assert site.state["state"] == "failsafe"

    played(tmp_path, story, racks=0)


def _lane(site: WatchedSite) -> Any:
    assert site.daemon is not None
    return site.daemon._devices.lane
