"""Orders over a real broker: `quotawatt send` as its user runs it, against the desk of a site."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from daemon.clock import SystemClock
from daemon.commands.orders import Hold
from daemon.commands.words import Lane, Role
from daemon.config.settings import MqttProtocol
from daemon.mqtt.connection import MqttConnection
from daemon.mqtt.topics import Topics
from daemon.signing import PrivateKey, loads
from daemon.timestamps import format_utc
from sim_devices.broker import EmbeddedBroker
from tests.world.mosquitto import Mosquitto, free_port, mosquitto
from tests.world.mqtt import Heard, QuickUuids, running, settings, until
from tests.world.order_site import OrderSite
from tests.world.orders import KEYS, SITE, SITE_KEY, lease_claims, signed

TOPICS = Topics(SITE)


class BrokerSite(OrderSite):
    """A site without a plant, with the key files of whoever commands it."""

    def __init__(self, port: int, folder: Path, protocol: MqttProtocol = MqttProtocol.AUTO) -> None:
        super().__init__(settings(port, protocol), folder)
        self.url = f"mqtt://127.0.0.1:{port}"
        for role, key in [*KEYS.items(), ("site", SITE_KEY)]:
            self._write(f"{role}.jwk", key.private_jwk(), key)
            self._write(f"{role}.pub.jwk", key.public_jwk(), key)

    def _write(self, name: str, jwk: dict[str, str], key: PrivateKey) -> None:
        path = self.folder / name
        path.write_text(json.dumps({**jwk, "kid": key.kid}))
        path.chmod(0o600)

    async def send(self, *words: str, role: Role = Role.OPERATOR) -> tuple[int, str, str]:
        """Run `quotawatt send`; its exit code, output and errors."""
        command = [str(Path(sys.executable).with_name("quotawatt")), "send", *words]
        command += ["--mqtt", self.url, "--site", SITE, "--key", str(self.folder / f"{role}.jwk")]
        command += ["--site-key", str(self.folder / "site.pub.jwk")]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(30):
            out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path) as started:
        yield started


def schedule_file(folder: Path, limit_w: int | None = 12_000_000) -> str:
    now_s = SystemClock().wall()
    path = folder / "schedule.json"
    entry = {"start": format_utc(now_s - 5), "end": format_utc(now_s + 600), "limit_w": limit_w}
    path.write_text(json.dumps([entry]))
    return str(path)


async def _play(site: BrokerSite) -> None:
    """A dispatcher's and an operator's day, in short."""
    schedule = schedule_file(site.folder)
    async with site.running():
        code, out, err = await site.send("quota", "--rev", "3", "--file", schedule, role=Role.DISPATCHER)
        assert (code, out.strip(), err) == (0, "done", "")
        assert site.paper.of("quota") == [3]

        code, out, _ = await site.send("lease", "--rev", "3", role=Role.DISPATCHER)
        assert (code, out.strip()) == (0, "sent")
        await until(lambda: site.paper.of("lease"))

        site.paper.metered_w = 4_000_000.0
        hold = '{"limit_w": 5000000, "reason": "crane"}'
        code, out, _ = await site.send("cmd", "hold", "--args", hold, "--json")
        assert code == 0
        assert json.loads(out)["status"] == "done"
        assert json.loads(out)["verified"] is True
        assert site.paper.of("hold") == [Hold(5_000_000, "crane", None)]

        code, out, _ = await site.send("cmd", "ping", "--json", role=Role.DISPATCHER)
        assert code == 0
        assert json.loads(out)["result"] == {"state": "limited", "limit_w": 10_000_000}

        code, out, _ = await site.send("cmd", "hold", "--args", '{"limit_w": 5}')
        assert code == 77
        assert out.startswith("rejected: invalid-args")

        code, out, _ = await site.send("quota", "--rev", "3", "--file", schedule, role=Role.DISPATCHER)
        assert (code, out.strip()) == (77, "rejected: stale-revision: revision 3 is held")


@pytest.mark.parametrize("protocol", [MqttProtocol.V5, MqttProtocol.V311])
async def test_orders_are_sent_taken_and_answered(
    broker: Mosquitto, tmp_path: Path, protocol: MqttProtocol
) -> None:
    await _play(BrokerSite(broker.port, tmp_path, protocol))


@pytest.mark.parametrize("protocol", [MqttProtocol.V5, MqttProtocol.V311])
async def test_the_embedded_broker_carries_orders_too(tmp_path: Path, protocol: MqttProtocol) -> None:
    async with EmbeddedBroker() as embedded:
        url = embedded.url_v5 if protocol is MqttProtocol.V5 else embedded.url_v311
        await _play(BrokerSite(int(url.rpartition(":")[2]), tmp_path, protocol))


async def test_a_retained_quota_reaches_a_site_that_comes_later(broker: Mosquitto, tmp_path: Path) -> None:
    site = BrokerSite(broker.port, tmp_path)
    code, _, err = await site.send(
        "quota", "--rev", "3", "--file", schedule_file(tmp_path), "--timeout", "0.5", role=Role.DISPATCHER
    )
    assert code == 69
    assert "no answer from site lhe-01" in err
    async with site.running():
        await until(lambda: site.paper.of("quota"))
    async with site.running():
        await asyncio.sleep(0.5)
    assert site.paper.of("quota") == [3]
    assert not site.refusals


async def test_no_broker_is_silence(tmp_path: Path) -> None:
    site = BrokerSite(free_port(), tmp_path)
    started = asyncio.get_running_loop().time()
    code, _, err = await site.send("cmd", "ping")
    assert code == 69
    assert "no broker answers" in err
    assert asyncio.get_running_loop().time() - started < 20


async def test_an_answer_by_another_key_is_no_answer(broker: Mosquitto, tmp_path: Path) -> None:
    site = BrokerSite(broker.port, tmp_path)
    (tmp_path / "site.pub.jwk").write_text(json.dumps(KEYS[Role.ENGINEER].public_jwk()))
    async with site.running():
        code, out, _ = await site.send("cmd", "ping", "--timeout", "1")
    assert (code, out) == (69, "")


async def test_a_hold_that_is_never_seen_on_the_meter_is_failed(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.commands.waiting.PATIENCE_S", 1)
    site = BrokerSite(broker.port, tmp_path)
    async with site.running():
        code, out, _ = await site.send("cmd", "hold", "--args", '{"limit_w": 5, "reason": "x"}')
    assert code == 1
    assert out.startswith("failed: ")


@pytest.mark.parametrize("protocol", [MqttProtocol.V5, MqttProtocol.V311])
async def test_a_retained_lease_is_refused_with_an_event(
    broker: Mosquitto, tmp_path: Path, protocol: MqttProtocol
) -> None:
    site = BrokerSite(broker.port, tmp_path, protocol)
    events = Heard()
    other = MqttConnection(settings(broker.port), client_id=None, entropy=QuickUuids())
    other.subscribe(TOPICS.event, events)
    async with running(other):
        other.publish(TOPICS.lane(Lane.LEASE), signed(lease_claims(), Lane.LEASE), retain=True)
        await asyncio.wait_for(other.drained(), 5)
        async with site.running():
            await until(lambda: events.messages)
    event = loads(events.messages[0][1])
    assert (event["type"], event["topic"], event["kid"]) == ("refused", "lease", "dispatch-1")
    assert site.refusals[("lease", event["reason"])] == 1


async def test_the_state_is_retained_and_tells_of_the_end(broker: Mosquitto, tmp_path: Path) -> None:
    site = BrokerSite(broker.port, tmp_path)
    states, telemetry = Heard(), Heard()
    other = MqttConnection(settings(broker.port), client_id=None, entropy=QuickUuids())
    other.subscribe(TOPICS.state, states)
    other.subscribe(TOPICS.telemetry, telemetry)

    def limits() -> list[Any]:
        return [loads(payload).get("limit_w") for _, payload, _ in states.messages]

    async with running(other):
        async with site.running():
            await until(lambda: limits() == [10_000_000])
            site.paper.limit_w = 7
            await until(lambda: limits() == [10_000_000, 7], within_s=1.0)
            await until(lambda: telemetry.messages)
        await until(lambda: len(states.messages) == 3)
        assert loads(states.messages[-1][1])["online"] is False


async def test_leases_go_on_until_they_are_stopped(broker: Mosquitto, tmp_path: Path) -> None:
    site = BrokerSite(broker.port, tmp_path)
    async with site.running():
        await site.send("quota", "--rev", "1", "--file", schedule_file(tmp_path), role=Role.DISPATCHER)
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("quotawatt")), "send", "lease", "--rev", "1"),
            *("--every", "0.2", "--mqtt", site.url, "--site", SITE),
            *("--key", str(tmp_path / "dispatcher.jwk")),
        )
        await until(lambda: len(site.paper.of("lease")) >= 4)
        process.send_signal(2)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert not site.refusals
