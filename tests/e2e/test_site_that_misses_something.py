"""The real daemon without its broker, its exchange, its devices or its port; and how it ends."""

import asyncio
import json
import re
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.config.settings import MqttProtocol
from daemon.ledger.chain import payload_of
from tests.world.brokers import Reachable
from tests.world.daemon_child import STOP_S, run_quotawatt
from tests.world.mosquitto import Mosquitto, free_port, mosquitto
from tests.world.mqtt import until
from tests.world.real_site import SETTLE_S, RealSite
from tests.world.settled_book import unix_s

DEAD = ("m-01-01", "m-01-05", "m-01-12", "cooling")
FAILSAFE, QUOTA = 0.4, 0.3
QUICK_S = 3


def reachable(broker: Mosquitto) -> Reachable:
    return Reachable(broker.url, MqttProtocol.AUTO, broker.url)


@pytest.fixture
async def absent(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """A broker that a test may start."""
    broker = Mosquitto(free_port(), tmp_path)
    yield broker
    await broker.stop()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[RealSite]:
    """A site that misses nothing."""
    async with mosquitto(tmp_path) as broker, RealSite(tmp_path, reachable(broker)) as started:
        yield started


def warnings(site: RealSite) -> list[str]:
    """What was said at level warning and above, alarms by their name."""
    lines = [line for line in site.daemon.lines() if line["level"] in {"warning", "error", "critical"}]
    return [f"alarm {line['alarm']}" if line["event"] == "event" else line["event"] for line in lines]


def said_once(site: RealSite, *patterns: str) -> None:
    said = warnings(site)
    for pattern in patterns:
        assert len([text for text in said if re.search(pattern, text)]) == 1, (pattern, said)


async def test_it_starts_without_anybody_says_so_once_and_works_when_they_come(
    tmp_path: Path, absent: Mosquitto
) -> None:
    async with RealSite(tmp_path, reachable(absent), present=False) as site:
        for device in DEAD:
            site.plant.faults[device].refuse = True
        with socket.create_server(("127.0.0.1", site.http_port)):
            await site.daemon.start()
            await until(lambda: site.daemon.said("site opened", state="init"))
            await asyncio.sleep(4)
            assert site.daemon.running
            said_once(
                site,
                "http-cannot-listen",
                "broker not reached$",
                "broker not reached for devices",
                "exchange",
            )
        await absent.start()
        await site.exchange.start()
        await _is_in_init(site)
        for device in DEAD:
            site.plant.faults[device].refuse = False
        await _works(site)
        said_once(
            site, "http-cannot-listen", "broker not reached$", "broker not reached for devices", "exchange"
        )
        assert await site.daemon.stop() == 0
        assert not site.daemon.strays()


async def _is_in_init(site: RealSite) -> None:
    """Its HTTP port was freed: it says that nobody has spoken, and it holds the failsafe limit."""
    await until(lambda: site.daemon.said("http-listening"), within_s=8.0)
    state = await site.http_state()
    assert (state["state"], state["limit_source"]) == ("init", "failsafe")
    assert state["limit_w"] == site.share_w(FAILSAFE)
    assert state["quota_rev"] is None
    assert state["devices"]["total"] - state["devices"]["ok"] >= len(DEAD)
    assert (await site.get("/healthz")).json() == {"ok": True, "reasons": []}
    # Ten seconds after its start it knows what it will not see, and sheds what it can.
    await site.true_power(lambda watts: watts < 0.7 * site.full_w, within_s=12.0, steady_s=0.5)


async def _works(site: RealSite) -> None:
    dispatch = site.dispatch
    await site.reach()
    await dispatch.state_like(online=True, within_s=20.0)
    dispatch.leasing = True
    signed = await dispatch.quota((0, site.share_w(QUOTA)))
    assert await dispatch.answered(signed) == ["accepted", "done"]
    await site.true_power_at_most(site.share_w(QUOTA), within_s=SETTLE_S + 1, steady_s=1.0)
    await dispatch.state_where(lambda state: state["devices"]["ok"] == state["devices"]["total"], 20.0)
    await dispatch.state_where(lambda state: state["ledger"]["acked_seq"] == state["ledger"]["seq"], 20.0)
    assert dispatch.state["state"] == "limited"


async def test_ctrl_c_ends_it_with_every_record_on_disk_though_nobody_took_them(
    tmp_path: Path, absent: Mosquitto
) -> None:
    async with RealSite(tmp_path, reachable(absent), present=False, interval_s=QUICK_S) as site:
        await site.daemon.start()
        await until(lambda: site.daemon.said("site opened"))
        opened_s = site.now_s()
        # Into the third interval's end, and as far past it as the next cycle may be.
        await asyncio.sleep(2 * QUICK_S + QUICK_S - opened_s % QUICK_S + 1.5)
        stopped_s = site.now_s()
        assert await site.daemon.stop(signal.SIGINT) == 0
        assert site.now_s() - stopped_s < STOP_S
        records = [payload_of(record.jws) for record in await site.stored()]
        starts = [unix_s(record["start"]) for record in records if record["kind"] in {"interval", "gap"}]
        # The first cycle may already be in the interval after the one in which it opened.
        assert starts[0] - int(opened_s // QUICK_S * QUICK_S) in {0, QUICK_S}
        assert starts == list(range(starts[0], int(stopped_s // QUICK_S * QUICK_S), QUICK_S))
        assert len(starts) >= 2
        assert not site.daemon.strays()


async def test_neighbours_that_hang_do_not_keep_it_from_ending(tmp_path: Path) -> None:
    """Broker and exchange are there and silent, and somebody has not finished asking over HTTP."""
    async with mosquitto(tmp_path) as broker, RealSite(tmp_path, reachable(broker)) as site:
        site.exchange.faults.delay(60)
        await site.daemon.start()
        await site.dispatch.state_like(online=True)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.http_port)
        writer.write(b"POST /api/v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        assert broker.process is not None
        broker.process.send_signal(signal.SIGSTOP)
        try:
            stopped_s = site.now_s()
            assert await site.daemon.stop() == 0
            assert site.now_s() - stopped_s < STOP_S
            assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        finally:
            broker.process.send_signal(signal.SIGCONT)
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        assert not site.daemon.strays()


async def test_its_neighbours_on_the_machine(site: RealSite) -> None:
    """A second daemon, `status`, a scraper, and somebody who asks for a reload."""
    await site.daemon.start()
    before = await site.dispatch.state_like(online=True)
    second, status, shown = await asyncio.gather(
        run_quotawatt("run", "--config", str(site.config)),
        run_quotawatt("status", "--config", str(site.config), "--json"),
        run_quotawatt("status", "--url", site.http_url),
    )
    assert second.code == 1
    assert (
        second.err
        == f"quotawatt: {site.folder / 'state'}: another quotawatt works here; one site, one daemon\n"
    )
    assert status.code == shown.code == 0
    assert json.loads(status.out)["boot"] == before["boot"]
    assert "init" in shown.out
    await _shows_metrics(site)
    site.daemon.signal(signal.SIGHUP)
    await until(lambda: site.daemon.said("configuration reloaded"))
    assert (await site.http_state())["boot"] == before["boot"]
    assert (await site.get("/healthz")).status_code == 200
    assert await site.daemon.stop() == 0
    gone = await run_quotawatt("status", "--config", str(site.config))
    assert gone.code == 69
    assert site.http_url in gone.err
    assert not site.daemon.strays()


async def _shows_metrics(site: RealSite) -> None:
    await until(lambda: site.dispatch.state["power_source"] == "meter")
    families = text_string_to_metric_families((await site.get("/metrics")).text)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }
    assert samples["quotawatt_state", "init"] == 1
    assert samples["quotawatt_limit_watts", "failsafe"] == site.share_w(FAILSAFE)
    assert samples["quotawatt_devices", "ok"] == 16
    assert samples["quotawatt_polls_total", "ok"] > 16
    assert samples["quotawatt_ledger_seq",] >= samples["quotawatt_ledger_acked_seq",] >= 1
    assert samples["quotawatt_cycle_seconds_count",] > 1
    assert samples["quotawatt_poll_lag_seconds_count",] > 1
    assert site.was_true(samples["quotawatt_site_power_watts",])


async def test_a_configuration_with_mistakes_starts_nothing(tmp_path: Path, absent: Mosquitto) -> None:
    async with RealSite(tmp_path, reachable(absent), racks=0, present=False) as site:
        text = site.config.read_text(encoding="utf-8")
        text = text.replace("failsafe_mw", "failsave_mw").replace("interval_s = 10", "interval_s = 7")
        text = text.replace('profile = "sim-meter"', 'profile = "sim-metre"')
        site.config.write_text(text, encoding="utf-8")
        callers: list[asyncio.StreamWriter] = []

        async def called(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            callers.append(writer)
            writer.close()

        server = await asyncio.start_server(called, "127.0.0.1", absent.port)
        async with server:
            ended = await run_quotawatt("run", "--config", str(site.config), within_s=STOP_S)
        assert ended.code == 78
        assert ended.out == ""
        lines = ended.err.splitlines()
        assert all(line.startswith(f"{site.config}: ") for line in lines)
        for path in ("site.failsave_mw", "site.failsafe_mw", "site.interval_s", "devices"):
            assert any(line.startswith(f"{site.config}: {path}") for line in lines), path
        assert all("; " in line for line in lines), "what would be right"
        assert not (tmp_path / "state").exists()
        assert not callers
