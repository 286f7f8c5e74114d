"""The broker that docs describe: TLS 1.3, client certificates, and a site that can only speak as itself."""

import asyncio
import contextlib
import dataclasses
import json
import re
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from daemon.commands.words import Lane, Role
from daemon.config.settings import Mqtt
from daemon.mqtt.connection import MqttConnection
from daemon.mqtt.lane import DeviceLane
from daemon.mqtt.topics import Topics, client_id, lane_client_id
from daemon.signing import parse, verify
from tests.world.certificates import Authority
from tests.world.mosquitto import BINARY, free_port, mosquitto
from tests.world.mqtt import Heard, QuickUuids, running, settings, until
from tests.world.order_site import OrderSite
from tests.world.orders import KEYS, SITE, SITE_KEY

DOCS = Path(__file__).parents[2] / "docs"
OTHER = "lhe-02"
ORDERS = ["quota", "lease", "cmd/dispatcher", "cmd/operator", "cmd/engineer"]
WORDS = ["rsp/x", "state", "telemetry", "event"]


@dataclasses.dataclass
class Broker:
    port: int
    authority: Authority

    def of(self, name: str) -> Mqtt:
        """The connection of whoever has a certificate of this name."""
        cert, key = (
            self.authority.issue(name.replace("/", "_")) if "/" in name else self.authority.issue(name)
        )
        return dataclasses.replace(settings(self.port), tls=True, ca=self.authority.ca, cert=cert, key=key)

    def client(self, name: str, **more: object) -> aiomqtt.Client:
        wanted = self.of(name)
        context = ssl.create_default_context(cafile=wanted.ca)
        assert wanted.cert is not None
        context.load_cert_chain(wanted.cert, wanted.key)
        return aiomqtt.Client(
            "127.0.0.1",
            self.port,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=context,
            timeout=5,
            **more,  # type: ignore[arg-type]  # options of its own
        )


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """Runs docs/mosquitto/mosquitto.conf with another port and in another folder, nothing else."""
    authority, port = Authority(tmp_path), free_port()
    cert, key = authority.issue("broker")
    certs = tmp_path / "certs"
    certs.mkdir()
    for source, name in ((authority.ca, "ca.pem"), (cert, "broker.pem"), (key, "broker.key")):
        (certs / name).write_bytes(source.read_bytes())
    (tmp_path / "acl.conf").write_text((DOCS / "mosquitto/acl.conf").read_text())
    text = (DOCS / "mosquitto/mosquitto.conf").read_text()
    assert text.count("listener 8883\n") == 1
    text = text.replace("listener 8883\n", f"listener {port} 127.0.0.1\n")
    text = text.replace("/etc/mosquitto/", f"{tmp_path}/").replace("/var/lib/mosquitto/", f"{tmp_path}/")
    (tmp_path / "mosquitto.conf").write_text("user root\n" + text)
    assert BINARY is not None
    process = await asyncio.create_subprocess_exec(
        BINARY, "-c", str(tmp_path / "mosquitto.conf"), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        found = Broker(port, authority)
        async with asyncio.timeout(10):
            while not await _listens(port):
                assert process.returncode is None
                await asyncio.sleep(0.02)
        yield found
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_nobody_without_a_certificate_or_with_an_older_tls(broker: Broker) -> None:
    bare = ssl.create_default_context(cafile=broker.authority.ca)
    old = ssl.create_default_context(cafile=broker.authority.ca)
    old.load_cert_chain(*broker.authority.issue(SITE))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    stranger = ssl.create_default_context(cafile=broker.authority.ca)
    with Authority.temporary("stranger") as other:
        stranger.load_cert_chain(*other.issue(SITE))
        for context in (bare, old, stranger):
            assert not await _let_in(broker.port, context)
    good = ssl.create_default_context(cafile=broker.authority.ca)
    good.load_cert_chain(*broker.authority.issue(SITE))
    assert await _let_in(broker.port, good)


async def _let_in(port: int, context: ssl.SSLContext) -> bool:
    """Whether a CONNECT is answered; with TLS 1.3 a missing certificate shows only at the first read."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    except (ssl.SSLError, ConnectionError):
        return False
    try:
        writer.write(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x")
        async with asyncio.timeout(5):
            return (await reader.read(4))[:1] == b"\x20"
    except (ssl.SSLError, ConnectionError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()


async def test_both_connections_of_a_site_are_let_in_and_hear_their_orders(broker: Broker) -> None:
    heard, devices = Heard(), Heard()
    site = MqttConnection(broker.of(SITE), client_id=client_id(SITE), entropy=QuickUuids())
    lane = DeviceLane(broker.of(SITE), client_id=lane_client_id(SITE), entropy=QuickUuids())
    for order in Lane:
        site.subscribe(Topics(SITE).lane(order), heard)
    lane.subscribe(f"devices/{SITE}/rack-7/state", devices)
    task = asyncio.create_task(lane.run())
    try:
        async with (
            running(site),
            broker.client("dispatch") as dispatch,
            broker.client("operator") as operator,
            broker.client(SITE) as device,
        ):
            await until(lambda: lane.subscribed)
            await dispatch.publish(Topics(SITE).lane(Lane.QUOTA), b"q", qos=1)
            await operator.publish(Topics(SITE).lane(Lane.OPERATOR), b"c", qos=1)
            await device.publish(f"devices/{SITE}/rack-7/state", b"1", qos=1)
            await until(lambda: len(heard.messages) == 2 and devices.messages)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_site_can_speak_and_hear_only_as_itself(broker: Broker) -> None:
    heard: list[str] = []
    async with (
        broker.client(OTHER) as victim,
        broker.client("dispatch") as dispatch,
        broker.client(SITE) as site,
    ):
        for word in ("#", "+/v1/+/quota", f"quotawatt/v1/{OTHER}/quota", "$SYS/#", f"devices/{OTHER}/#"):
            await site.subscribe(word, qos=1)
        for order in ORDERS:
            await victim.subscribe(f"quotawatt/v1/{OTHER}/{order}", qos=1)
        for word in WORDS:
            await dispatch.subscribe(f"quotawatt/v1/{OTHER}/{word}", qos=1)
        # What it may not say reaches nobody; with MQTT 5 it is told so.
        refused = 0
        for topic in (*ORDERS, *WORDS, "devices/x"):
            for owner in (OTHER, SITE):
                allowed = owner == SITE and topic in WORDS
                name = f"quotawatt/v1/{owner}/{topic}"
                try:
                    await site.publish(name, b"forged", qos=1)
                except aiomqtt.MqttError:
                    assert not allowed
                    refused += 1
        await dispatch.publish(f"quotawatt/v1/{OTHER}/quota", b"genuine", qos=1)
        await dispatch.publish(f"quotawatt/v1/{SITE}/quota", b"its own", qos=1)
        async with asyncio.timeout(5):
            async for message in victim.messages:
                heard.append(bytes(message.payload).decode())
                break
            async for message in site.messages:
                heard.append(bytes(message.payload).decode())
                break
        await asyncio.sleep(0.3)
        assert heard == ["genuine", "its own"]
        assert len(victim.messages) == 0
        assert len(dispatch.messages) == 0
        # It hears its own quota once for each subscription that covers it, and nobody else's.
        while len(site.messages):
            message = await anext(aiter(site.messages))
            assert str(message.topic).startswith((f"quotawatt/v1/{SITE}/",))


async def test_each_role_commands_on_its_own_topic_alone(broker: Broker) -> None:
    allowed = {
        "dispatch": {"quota", "lease", "cmd/dispatcher"},
        "operator": {"cmd/operator"},
        "engineer": {"cmd/engineer"},
    }
    heard: set[str] = set()
    for name, topics in allowed.items():
        async with broker.client(SITE) as site, broker.client(name) as sender:
            for order in ORDERS:
                await site.subscribe(f"quotawatt/v1/{SITE}/{order}", qos=1)
            for order in (*ORDERS, *WORDS):
                try:
                    await sender.publish(f"quotawatt/v1/{SITE}/{order}", b"x", qos=1)
                except aiomqtt.MqttError:
                    assert order not in topics
            await asyncio.sleep(0.3)
            heard = {str((await anext(aiter(site.messages))).topic) for _ in range(len(site.messages))}
        assert heard == {f"quotawatt/v1/{SITE}/{order}" for order in topics}


async def test_a_name_with_a_wildcard_opens_nothing(broker: Broker) -> None:
    async with broker.client("dispatch") as dispatch, broker.client("+") as wild:
        await wild.subscribe("quotawatt/v1/+/quota", qos=1)
        await dispatch.publish(f"quotawatt/v1/{SITE}/quota", b"x", qos=1)
        await asyncio.sleep(0.3)
        assert len(wild.messages) == 0


async def test_send_commands_a_site_through_it(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    site = OrderSite(broker.of(SITE), tmp_path / "site")
    wanted = broker.of("operator")
    key = tmp_path / "operator-1.jwk"
    key.touch(mode=0o600)
    key.write_text(json.dumps({**KEYS[Role.OPERATOR].private_jwk(), "kid": "operator-1"}))
    async with site.running():
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "daemon", "send", "cmd", "ping", "--json", "--site", SITE),
            *("--mqtt", f"mqtts://127.0.0.1:{broker.port}", "--key", str(key), "--role", "operator"),
            *("--ca", str(wanted.ca), "--cert", str(wanted.cert), "--cert-key", str(wanted.key)),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert json.loads(out)["status"] == "done"


async def test_the_program_in_docs_sends_a_quota(tmp_path: Path) -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(program.splitlines()) < 40
    assert "daemon" not in program
    key = tmp_path / "dispatch-1.jwk"
    key.write_text(json.dumps({**KEYS[Role.DISPATCHER].private_jwk(), "kid": "dispatch-1"}))
    async with mosquitto(tmp_path) as plain:
        site = OrderSite(settings(plain.port), tmp_path)
        async with site.running():
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-c",
                    program,
                    "127.0.0.1",
                    str(plain.port),
                    SITE,
                    str(key),
                    "7",
                    "12000000",
                ),
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    answers = [parse(line) for line in out.splitlines()]
    for answer in answers:
        verify(answer, SITE_KEY.public())
    assert [json.loads(answer.payload)["status"] for answer in answers] == ["accepted", "done"]
    assert site.paper.of("quota") == [7]
