"""A changed configuration is taken while the site runs, as a whole or not at all."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.commands.sender import Sender
from daemon.commands.words import Lane
from daemon.config import Config, load_config
from daemon.cycle.layout import SiteLayout
from daemon.signing import PrivateKey
from daemon.timestamps import format_utc
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.virtual_site import SITE, SeededEntropy, VirtualSite


def rewritten(folder: Path, change: Callable[[str], str]) -> None:
    path = folder / "site.toml"
    before = path.read_text(encoding="utf-8")
    after = change(before)
    assert after != before
    path.write_text(after, encoding="utf-8")


def with_value(key: str, value: str) -> Callable[[str], str]:
    return lambda text: "\n".join(
        f"{key} = {value}" if line.startswith(f"{key} = ") else line for line in text.split("\n")
    )


def played(folder: Path, story: Callable[[VirtualSite], Awaitable[None]], **options: Any) -> None:
    """Play a story on a site in virtual time."""

    async def main(loop: VirtualLoop) -> None:
        async with VirtualSite(loop, folder, **options) as site:
            await story(site)

    run_virtual(main)


async def held(site: VirtualSite, share: float) -> int:
    """Hold the site at a share of its nameplate."""
    limit_w = round(share * site.full_w)
    await site.start()
    await site.run(20)
    site.dispatcher.quota((0, limit_w))
    await site.run(120)
    assert site.state["limit_w"] == limit_w
    return limit_w


async def reloaded(site: VirtualSite) -> list[str]:
    """Ask for a reload; what is said to it."""
    assert site.daemon is not None
    site.daemon.reloader.ask("test")
    await site.run(2)
    outcome = site.daemon.reloader.outcome("test")
    assert outcome is not None
    return outcome


def test_a_changed_site_is_read_and_laid_out_while_control_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside, where = False, []
    laid_out = SiteLayout.of

    async def looked_at(work: Callable[[], Any]) -> Any:
        nonlocal aside
        aside = True
        try:
            return work()
        finally:
            aside = False

    def of(config: Config) -> SiteLayout:
        where.append(aside)
        return laid_out(config)

    async def story(site: VirtualSite) -> None:
        outside = site.outside
        site.outside = lambda: replace(outside(), aside=looked_at)  # type: ignore[method-assign]
        quota_w = await held(site, 0.8)
        monkeypatch.setattr(SiteLayout, "of", of)
        rewritten(tmp_path, with_value("failsafe_mw", f"{quota_w / 4e6:.6f}"))
        assert await reloaded(site) == []
        assert where == [True]

    played(tmp_path, story, racks=0)


def test_a_lower_contract_holds_at_once_and_no_poll_is_missed(tmp_path: Path) -> None:
    async def story(site: VirtualSite) -> None:
        quota_w = await held(site, 0.8)
        assert site.daemon is not None
        counted = dict(site.daemon._devices.fleet.counters())
        fleet, links = site.daemon._devices.fleet, site.link
        lower_w = quota_w // 2
        rewritten(tmp_path, with_value("failsafe_mw", f"{lower_w / 2e6:.6f}"))
        rewritten(tmp_path, with_value("contract_max_mw", f"{lower_w / 1e6:.6f}"))

        assert await reloaded(site) == []
        await site.run(60)

        assert site.state["limit_w"] == lower_w
        assert site.plant.truth.true_power_w <= lower_w
        assert (site.daemon._devices.fleet, site.link) == (fleet, links)
        after = site.daemon._devices.fleet.counters()
        assert {key: after[key] - count for key, count in counted.items() if key != "ok"} == dict.fromkeys(
            counted.keys() - {"ok"}, 0
        )

    played(tmp_path, story, racks=0, disobedient_share=0.0)


def test_a_key_that_is_taken_out_loses_its_say(tmp_path: Path) -> None:
    async def story(site: VirtualSite) -> None:
        await held(site, 0.8)
        other = PrivateKey.from_seed(b"x" * 32)
        kid, x = site.dispatcher.key.kid, site.dispatcher.key.public_jwk()["x"]
        rewritten(tmp_path, lambda text: text.replace(x, other.public_jwk()["x"]).replace(kid, other.kid))

        assert await reloaded(site) == []
        await site.run(5)

        assert "trust" in {alarm["type"] for alarm in site.state["alarms"]}
        rev = site.state["quota_rev"]
        site.dispatcher.quota((0, None))
        await site.run(5)
        assert site.state["quota_rev"] == rev

    played(tmp_path, story, racks=0)


def _trusting(text: str, key: PrivateKey, role: str, more: str = "") -> str:
    """A configuration in which a further key counts."""
    entry = f'[[trust.keys]]\nkid = "{key.kid}"\nrole = "{role}"\n{more}\n'
    jwk = ", ".join(f'{name} = "{value}"' for name, value in key.public_jwk().items())
    return f"{text}\n{entry}jwk = {{ {jwk} }}\n"


def test_another_key_under_the_same_name_does_not_vouch_for_the_quota(tmp_path: Path) -> None:
    async def story(site: VirtualSite) -> None:
        await held(site, 0.8)
        x = site.dispatcher.key.public_jwk()["x"]
        rewritten(tmp_path, lambda text: text.replace(x, PrivateKey.from_seed(b"x" * 32).public_jwk()["x"]))

        assert await reloaded(site) == []
        await site.run(5)

        assert "trust" in {alarm["type"] for alarm in site.state["alarms"]}

    played(tmp_path, story, racks=0)


@pytest.mark.parametrize(("cut_short_s", "trusted"), [(0, True), (-3600, False)])
def test_a_key_that_runs_out_takes_no_quota_with_it(
    tmp_path: Path, cut_short_s: int, *, trusted: bool
) -> None:
    async def story(site: VirtualSite) -> None:
        limit_w = await held(site, 0.8)
        heir = PrivateKey.from_seed(b"h" * 32)
        end = format_utc(site.clock.wall() + cut_short_s)
        kid = site.dispatcher.key.kid
        rewritten(tmp_path, lambda text: text.replace(f'kid = "{kid}"', f'kid = "{kid}"\nnot_after = {end}'))
        rewritten(tmp_path, lambda text: _trusting(text, heir, "dispatcher"))
        assert await reloaded(site) == []
        # Whoever takes over keeps the quota alive that the first has left; the first is not heard any more.
        site.dispatcher.key = heir
        await site.run(400)
        assert ("trust" in {alarm["type"] for alarm in site.state["alarms"]}) is not trusted
        assert (site.state["limit_w"] == limit_w) is trusted
        assert (site.state["state"] == "failsafe") is not trusted
        # Nor does a restart.
        await site.stop()
        site.config = load_config(tmp_path / "site.toml")
        await site.start()
        await site.run(5)
        assert (site.state["state"] == "failsafe") is not trusted

    played(tmp_path, story, racks=0)


def test_without_an_heir_a_key_that_runs_out_leads_to_failsafe(tmp_path: Path) -> None:
    async def story(site: VirtualSite) -> None:
        limit_w = await held(site, 0.8)
        end, kid = format_utc(site.clock.wall() + 60), site.dispatcher.key.kid
        rewritten(tmp_path, lambda text: text.replace(f'kid = "{kid}"', f'kid = "{kid}"\nnot_after = {end}'))
        assert await reloaded(site) == []
        await site.run(150)
        assert (site.state["state"], site.state["limit_w"]) == ("limited", limit_w)
        await site.run(120 + 60 + 300)
        assert (site.state["state"], site.state["limit_w"]) == ("failsafe", site.failsafe_w)
        assert "trust" not in {alarm["type"] for alarm in site.state["alarms"]}

    played(tmp_path, story, racks=0)


def test_an_engineer_has_the_configuration_read_anew(tmp_path: Path) -> None:
    async def story(site: VirtualSite) -> None:
        engineer = PrivateKey.from_seed(b"e" * 32)
        rewritten(tmp_path, lambda text: _trusting(text, engineer, "engineer"))
        site.config = load_config(tmp_path / "site.toml")
        quota_w = await held(site, 0.8)
        sender = Sender(engineer, SITE, site.clock, SeededEntropy(1))

        async def outcome() -> dict[str, Any]:
            message = sender.command("reload", lane=Lane.ENGINEER)
            topic = f"quotawatt/v1/{SITE}/cmd/engineer"
            site.broker.publish(topic, message.jws.encode(), retain=False)
            await site.run(5)
            first, last = (one for one in site.dispatcher.answers if one["jti"] == message.jti)
            assert first["status"] == "accepted"
            return last

        rewritten(tmp_path, with_value("failsafe_mw", f"{quota_w / 4e6:.6f}"))
        rewritten(tmp_path, with_value("contract_max_mw", f"{quota_w / 2e6:.6f}"))
        assert (await outcome())["status"] == "done"
        assert site.state["limit_w"] == quota_w // 2
        rewritten(tmp_path, with_value("contract_max_mw", "0.001"))
        failed = await outcome()
        assert failed["status"] == "failed"
        assert "site.failsafe_mw: is" in failed["detail"]
        assert site.state["limit_w"] == quota_w // 2

    played(tmp_path, story, racks=0)


def test_a_circuit_takes_its_new_limit_and_its_new_loads(tmp_path: Path) -> None:
    async def story(site: VirtualSite) -> None:
        await site.start()
        await site.run(20)
        site.dispatcher.quota((0, None))
        await site.run(400)
        assert site.daemon is not None
        loads = site.plant.truth.fleet
        # One that shares its entry in the file with no other.
        row = loads.index["m-01-03"]
        first = float(loads.draw_w[row])
        rewritten(tmp_path, lambda text: _on_circuit(text, "m-01-03") + _TIGHT)

        assert await reloaded(site) == []
        await site.run(60)

        assert first > 2_500
        assert float(loads.draw_w[row]) <= 2_000
        assert site.plant.truth.true_power_w > first

    played(tmp_path, story, racks=0, disobedient_share=0.0)


_TIGHT = '\n[[circuits]]\nid = "tight"\nmax_mw = 0.002\n'


def _on_circuit(text: str, device: str) -> str:
    """Hang a device on the circuit `tight`."""
    entries = text.split("[[devices]]\n")
    for index, entry in enumerate(entries):
        lines = entry.splitlines(keepends=True)
        if f'id = "{device}"\n' in lines:
            kept = [line for line in lines if not line.startswith("circuit = ")]
            kept.insert(kept.index(f'id = "{device}"\n'), 'circuit = "tight"\n')
            entries[index] = "".join(kept)
    return "[[devices]]\n".join(entries)


def test_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    async def story(site: VirtualSite) -> None:
        quota_w = await held(site, 0.6)
        rewritten(tmp_path, with_value("contract_max_mw", "0.001"))

        (problem,) = await reloaded(site)
        await site.run(20)

        assert "site.failsafe_mw: is" in problem
        assert site.state["limit_w"] == quota_w

    played(tmp_path, story, racks=0)


def test_what_needs_a_restart_is_refused_whole(tmp_path: Path) -> None:
    async def story(site: VirtualSite) -> None:
        quota_w = await held(site, 0.6)
        rewritten(tmp_path, with_value("contract_max_mw", f"{quota_w / 2e6:.6f}"))
        rewritten(tmp_path, with_value("failsafe_mw", f"{quota_w / 4e6:.6f}"))
        rewritten(tmp_path, with_value("interval_s", "900"))

        problems = await reloaded(site)
        await site.run(20)

        (problem,) = problems
        assert "site.toml: site.interval_s: has changed; restart" in problem
        assert (site.state["limit_w"], site.state["limit_source"]) == (quota_w, "quota")

    played(tmp_path, story, racks=0)


def test_a_refused_reload_moves_no_setpoint_that_would_not_have_moved_anyway(tmp_path: Path) -> None:
    courses: list[list[list[float]]] = []
    for folder, broken in ((tmp_path / "left-alone", False), (tmp_path / "asked", True)):
        folder.mkdir()
        course: list[list[float]] = []

        async def story(
            site: VirtualSite,
            folder: Path = folder,
            course: list[list[float]] = course,
            *,
            broken: bool = broken,
        ) -> None:
            await held(site, 0.6)
            assert site.daemon is not None
            if broken:
                rewritten(folder, with_value("contract_max_mw", "0.001"))
                site.daemon.reloader.ask("test")
            for _ in range(60):
                await site.run(1)
                course.append(np.nan_to_num(site.plant.truth.fleet.ordered_w, nan=-1.0).tolist())
            assert (site.daemon.reloader.outcome("test") is not None) is broken

        played(folder, story, racks=0)
        courses.append(course)

    assert courses[0] == courses[1]
