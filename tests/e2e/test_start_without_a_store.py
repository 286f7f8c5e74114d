"""The real daemon, started on a disk that cannot be written: what an operator sees, and how it ends."""

from pathlib import Path

import httpx2
import pytest

from daemon.config.settings import MqttProtocol
from tests.world.brokers import Reachable
from tests.world.mosquitto import mosquitto
from tests.world.mqtt import until
from tests.world.real_site import RealSite

INTERVAL_S = 4


@pytest.mark.timeout(120)
async def test_the_site_is_held_at_failsafe_and_says_why_until_the_store_can_be_opened(
    tmp_path: Path,
) -> None:
    async with (
        mosquitto(tmp_path) as broker,
        RealSite(
            tmp_path, Reachable(broker.url, MqttProtocol.AUTO, broker.url), interval_s=INTERVAL_S
        ) as site,
    ):
        in_the_way = tmp_path / "state" / "site.db"
        in_the_way.mkdir(parents=True)
        site.dispatch.leasing = True
        await site.dispatch.quota((0, site.share_w(1.0)))
        await site.daemon.start()
        await _is_held(site)
        in_the_way.rmdir()
        await _goes_on(site)
        assert await site.daemon.stop() == 0
        assert not site.daemon.strays()


async def _is_held(site: RealSite) -> None:
    failsafe_w = site.share_w(0.4)
    state = await site.dispatch.state_like(limit_w=failsafe_w, limit_source="failsafe")
    assert [alarm["type"] for alarm in state["alarms"]] == ["records"]
    await site.true_power_at_most(failsafe_w, within_s=30)
    health = await site.get("/healthz")
    assert health.status_code == 503
    (reason,) = health.json()["reasons"]
    assert "unable to open database file" in reason
    assert "failsafe" in reason
    metrics = (await site.get("/metrics")).text
    assert 'quotawatt_alarms{type="records"} 1.0' in metrics
    assert f'quotawatt_limit_watts{{source="failsafe"}} {float(failsafe_w)}' in metrics
    assert len((await site.get("/api/v1/devices")).json()) > 10
    ledger = (await site.get("/api/v1/ledger")).json()
    assert (ledger["epoch"], ledger["backlog"]) == (None, None)
    assert "unable to open database file" in ledger["damage"]
    assert site.dispatch.answers == {}
    async with httpx2.AsyncClient(base_url=site.http_url, trust_env=False) as client:
        refused = await client.post("/api/v1/commands", content=b"x.y.z")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/no-store")


async def _goes_on(site: RealSite) -> None:
    state = await site.dispatch.state_where(lambda said: said["ledger"]["seq"] > 0, within_s=20)
    assert "records" not in {alarm["type"] for alarm in state["alarms"]}
    await until(lambda: bool(site.book.intervals()), 20)
    assert (await site.get("/healthz")).status_code == 200
    await until(lambda: site.dispatch.state["limit_source"] == "quota", 20)
