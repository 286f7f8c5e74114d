"""`quotawatt plan` asks the running daemon, and nothing happens."""

import asyncio
import json
from pathlib import Path

import pytest

from daemon.config.settings import MqttProtocol
from tests.world.brokers import Reachable
from tests.world.daemon_child import run_quotawatt
from tests.world.mosquitto import free_port, mosquitto
from tests.world.real_site import RealSite, Shares


@pytest.mark.timeout(120)
async def test_a_plan_is_shown_and_nothing_is_done(tmp_path: Path) -> None:
    async with (
        mosquitto(tmp_path) as broker,
        RealSite(tmp_path, Reachable(broker.url, MqttProtocol.AUTO, broker.url)) as site,
    ):
        # A first heartbeat that comes after the first full picture finds the site at its failsafe limit;
        # where that is lower, what it stopped stays off for its minimum off-time.
        site.configure(shares=Shares(failsafe=1.1))
        site.dispatch.leasing = True
        await site.daemon.start()
        await site.dispatch.quota((0, None))
        await site.dispatch.state_like(state="controlled", within_s=20.0)
        async with asyncio.timeout(40):
            # Nothing says when the first full picture is there.
            while (await site.get("/api/v1/plan?limit_w=0")).is_error:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        await site.true_power(lambda watts: watts > 0.95 * site.full_w, within_s=20.0, steady_s=0.5)
        half_mw = 0.5 * site.full_w / 1e6

        asked = await run_quotawatt("plan", "--quota-mw", f"{half_mw:.6f}", "--url", site.http_url, "--json")
        told = json.loads(asked.out)
        assert (asked.code, asked.err) == (0, "")
        assert told["reached"]
        assert told["unreachable"] is None
        assert told["course"][0]["expected_w"] == pytest.approx(site.full_w, rel=0.1)
        assert told["course"][-1]["expected_w"] <= told["limit_w"]
        assert {order["device"] for order in told["orders"]} <= {device.id for device in site.plant.devices}

        shown = await run_quotawatt("plan", "--quota-mw", "0", "--config", str(site.config))
        assert (shown.code, shown.err) == (1, "")
        assert "above the limit cannot be shed" in shown.out
        assert "draws this much at its lowest" in shown.out

        assert (await site.http_state())["devices"]["curtailed"] == 0
        await site.true_power(lambda watts: watts > 0.9 * site.full_w, within_s=2.0, steady_s=0.5)
        assert await site.daemon.stop() == 0


@pytest.mark.parametrize("quota", ["-1", "nan", "inf"])
async def test_a_limit_that_is_none_is_refused_before_anybody_is_asked(quota: str) -> None:
    refused = await run_quotawatt("plan", f"--quota-mw={quota}")
    assert refused.code == 2
    assert "0 MW or more" in refused.err


async def test_nobody_to_ask_is_said_without_a_traceback() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    lost = await run_quotawatt("plan", "--quota-mw", "1", "--url", url)
    assert (lost.code, lost.out) == (69, "")
    assert lost.err.startswith(f"quotawatt plan: {url}: no answer from a daemon: ")
