"""`python -m benchmarks.mqtt_lane`: 10,000 MQTT messages a second into the site table, by three clients.

A real mosquitto; a publisher that has every packet ready; and the client in a process and on a core of its
own. All clients run the same driver behind their connection: the plug's JSON is read and lands in the table,
which is frozen once a second.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
import uvloop
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.figures import Figure, Finding, at_least, at_most, below, tell
from benchmarks.machine import client_core, server_core
from benchmarks.rounds import interleaved, median_ratio
from daemon.clock import SystemEntropy
from daemon.config.settings import Mqtt, MqttProtocol
from daemon.mqtt.dispatch import Dispatch
from daemon.mqtt.lane import DeviceLane
from daemon.table import SiteTable
from drivers.address import MqttAddress
from drivers.device import Device
from drivers.mqtt.fleet import MqttFleet
from drivers.ports import TopicHandler
from drivers.profiles import load_profile

ROOT = Path(__file__).resolve().parents[1]
DEVICES = 10_000
RATE = 10_000
BURST_RATE = 60_000
"""Offered to find the most that a client takes."""
TICK_S = 0.01
QUIET_S = 3.0
"""Without a message for so long, no more will come."""
CLIENTS = ("lane", "paho", "aiomqtt")
BROKER = "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages {queue}\n"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a client made of what it was offered."""

    offered: int
    heard: int
    """Read, and in the table."""
    cpu_s: float
    """Of the client's process, from the first message to the last."""
    wall_s: float
    subscribe_s: float
    rss_mb: float

    @property
    def us(self) -> float:
        """CPU per message."""
        return self.cpu_s / max(self.heard, 1) * 1e6

    @property
    def a_second(self) -> float:
        """Messages in a second of a core: that the machine has other work does not count."""
        return self.heard / max(self.cpu_s, 1e-9)

    @property
    def lost(self) -> int:
        """Messages."""
        return self.offered - self.heard


class _Bus:
    """A `TopicBus` for clients that have no dispatch of their own; it gets ours."""

    def __init__(self) -> None:
        self._dispatch = Dispatch()

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        self._dispatch.add(topic_filter, handler)

    def unsubscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        self._dispatch.remove(topic_filter, handler)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        raise NotImplementedError(topic, payload, qos, retain)

    def heard(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Hand a message to whom it is for."""
        route = self._dispatch.route(topic.encode())
        if route is not None:
            for handler in route[1]:
                handler(topic, payload, retained)


async def _by_lane(lane: DeviceLane) -> None:
    """Run until cancelled."""
    await lane.run()


async def _by_aiomqtt(port: int, bus: _Bus, ready: asyncio.Event) -> None:
    async with aiomqtt.Client(
        "127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, identifier="bench"
    ) as client:
        await client.subscribe("tele/+/SENSOR", qos=0)
        ready.set()
        async for message in client.messages:
            bus.heard(str(message.topic), message.payload, retained=message.retain)


async def _by_paho(port: int, bus: _Bus, ready: asyncio.Event) -> None:
    """Paho's own client, driven by this loop: it reads on while messages come."""
    loop = asyncio.get_running_loop()
    client = paho.Client(CallbackAPIVersion.VERSION2, "bench", protocol=MQTTProtocolVersion.MQTTv5)
    heard = 0

    def take(_client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        nonlocal heard
        heard += 1
        bus.heard(message.topic, bytes(message.payload), retained=message.retain)

    def read() -> None:
        for _ in range(200):
            before = heard
            client.loop_read()
            if heard == before:
                break

    def connected(*_: object) -> None:
        client.subscribe("tele/+/SENSOR", 0)

    def opened(_client: paho.Client, _userdata: object, sock: Any) -> None:
        loop.add_reader(sock, read)

    def writes(_client: paho.Client, _userdata: object, sock: Any) -> None:
        loop.add_writer(sock, client.loop_write)

    def written(_client: paho.Client, _userdata: object, sock: Any) -> None:
        loop.remove_writer(sock)

    client.on_message = take
    client.on_connect = connected
    client.on_subscribe = lambda *_: ready.set()
    client.on_socket_open = opened
    client.on_socket_register_write = writes
    client.on_socket_unregister_write = written
    client.connect("127.0.0.1", port)
    while True:
        await asyncio.sleep(1)
        client.loop_misc()


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _hear(client: str, port: int, offered: int) -> Taken:
    """Be the client: listen until nothing comes any more."""
    loop = asyncio.get_running_loop()
    plug = load_profile("tasmota-plug")
    devices = [
        (row, Device(f"p{row}", plug, MqttAddress(f"plug-{row:05}"), plug.period_s)) for row in range(DEVICES)
    ]
    table, ready, started = SiteTable([plug.period_s] * DEVICES), asyncio.Event(), loop.time()
    bus: DeviceLane | _Bus = _Bus()
    if client == "lane":
        bus = DeviceLane(_settings(port), client_id="bench", entropy=SystemEntropy())
    fleet = MqttFleet(devices, table, bus)
    tasks = [asyncio.create_task(fleet.run())]
    await asyncio.sleep(0)
    if isinstance(bus, DeviceLane):
        tasks.append(asyncio.create_task(bus.run()))
        while not bus.subscribed:  # noqa: ASYNC110  nobody else waits for it
            await asyncio.sleep(0.005)
    else:
        by = _by_aiomqtt if client == "aiomqtt" else _by_paho
        tasks.append(asyncio.create_task(by(port, bus, ready)))
        await ready.wait()
    subscribe_s = loop.time() - started
    print("ready", flush=True)
    heard, first_s, first_cpu_s, last_s, last_cpu_s = 0, 0.0, 0.0, 0.0, 0.0
    while True:
        await asyncio.sleep(TICK_S)
        now, count = loop.time(), fleet.counters()["ok"]
        if count != heard:
            if not heard:
                first_s, first_cpu_s = now, _cpu_s()
            heard, last_s, last_cpu_s = count, now, _cpu_s()
        if int(now) != int(now - TICK_S):
            table.freeze(now)
        if heard == offered or (heard and now - last_s > QUIET_S):
            break
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Taken(offered, heard, last_cpu_s - first_cpu_s, last_s - first_s, subscribe_s, rss_mb)


def _settings(port: int) -> Mqtt:
    return Mqtt(
        host="127.0.0.1",
        port=port,
        tls=False,
        username=None,
        password=None,
        ca=None,
        cert=None,
        key=None,
        protocol=MqttProtocol.AUTO,
    )


def _packet(head: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while True:
        size, low = size >> 7, size & 0x7F
        length.append(low | (0x80 if size else 0))
        if not size:
            return bytes([head]) + bytes(length) + body


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def _message(number: int) -> bytes:
    """A PUBLISH as a Tasmota plug sends it: some 250 bytes of JSON."""
    energy = {
        "TotalStartTime": "2022-03-20T15:20:48",
        "Total": 514.153 + number / 1000,
        "Yesterday": 1.495,
        "Today": 0.537,
        "Period": 0,
        "Power": 3000 + number % 500,
        "ApparentPower": 3492,
        "ReactivePower": 173,
        "Factor": 0.98,
        "Voltage": 234,
        "Current": 14.592,
    }
    body = json.dumps({"Time": "2023-05-19T20:52:56", "ENERGY": energy}, separators=(",", ":"))
    return _packet(0x30, _text(f"tele/plug-{number % DEVICES:05}/SENSOR") + body.encode())


async def _publish(port: int, total: int, rate: int) -> None:
    """Be the publisher: so many messages, so many a second."""
    messages = [_message(number) for number in range(DEVICES)]
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_packet(0x10, _text("MQTT") + b"\x04\x02\x00\x3c" + _text("publisher")))
    await reader.readexactly(4)
    started, done = loop.time(), 0
    while done < total:
        due = min(total, int((loop.time() - started) * rate))
        if due > done:
            writer.write(b"".join(messages[number % DEVICES] for number in range(done, due)))
            await writer.drain()
            done = due
        await asyncio.sleep(TICK_S)
    writer.write(b"\xe0\x00")
    await writer.drain()
    writer.close()


@contextlib.contextmanager
def _broker(queue: int) -> Iterator[int]:
    """A mosquitto on a port of its own; `queue` = messages kept for a slow client, 0 = all."""
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        config = Path(folder) / "mosquitto.conf"
        config.write_text(BROKER.format(port=port, queue=queue), encoding="ascii")
        path = f"{os.environ['PATH']}:/usr/sbin"
        process = subprocess.Popen(["mosquitto", "-c", config], stderr=subprocess.DEVNULL, env={"PATH": path})
        try:
            os.sched_setaffinity(process.pid, {server_core()})
            _await_port(port)
            yield port
        finally:
            process.terminate()
            process.wait()


def _await_port(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        subprocess.run(["sleep", "0.05"], check=True)
    raise TimeoutError("mosquitto does not listen")


def _round(client: str, total: int, rate: int, queue: int) -> Taken:
    """One client, offered so many messages."""
    me = [sys.executable, "-m", "benchmarks.mqtt_lane"]
    with _broker(queue) as port:
        hearer = subprocess.Popen(
            [*me, "--hear", client, str(port), str(total)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            os.sched_setaffinity(hearer.pid, {client_core()})
            assert hearer.stdout is not None
            if not any(line.startswith("ready") for line in hearer.stdout):
                raise RuntimeError(f"{client} failed")
            publisher = subprocess.Popen(
                [*me, "--publish", str(port), str(total), str(rate)],
                cwd=ROOT,
            )
            os.sched_setaffinity(publisher.pid, {server_core()})
            said = hearer.stdout.read()
            publisher.wait()
        finally:
            hearer.kill()
            hearer.wait()
    return Taken(**json.loads(said.splitlines()[-1]))


def measure(rounds: int, seconds: float) -> Finding:
    """All clients, paced and in a burst, in every round."""
    total, burst = int(RATE * seconds), int(RATE * seconds)
    paced = interleaved(CLIENTS, rounds, lambda client, _: _round(client, total, RATE, 1000))
    bursts = interleaved(CLIENTS, rounds, lambda client, _: _round(client, burst, BURST_RATE, 0))

    def middle(taken: Sequence[dict[str, Taken]], client: str, value: Callable[[Taken], float]) -> float:
        return median(value(one[client]) for one in taken)

    def ratio(above: str) -> float:
        return median_ratio(paced, lambda one: one[above].us, lambda one: one["lane"].us)

    def lost(client: str) -> int:
        return sum(one[client].lost for one in paced)

    cpu_share = middle(paced, "lane", lambda one: one.cpu_s / one.wall_s * 100)
    return Finding(
        name="mqtt_lane",
        title=(
            f"{RATE:,} MQTT messages/s of 250 bytes from {DEVICES:,} devices, "
            f"{rounds} rounds of {seconds:g} s: received, read and in the site table"
        ),
        figures=[
            Figure("one core, at that rate", cpu_share, "%", below(100)),
            Figure("lost, in all rounds", lost("lane"), "", at_most(0)),
            Figure("CPU per message", middle(paced, "lane", lambda one: one.us), "µs"),
            Figure("CPU per message, aiomqtt", middle(paced, "aiomqtt", lambda one: one.us), "µs"),
            Figure("aiomqtt against the lane", ratio("aiomqtt"), "×"),
            Figure("CPU per message, paho in the loop", middle(paced, "paho", lambda one: one.us), "µs"),
            Figure("paho against the lane", ratio("paho"), "×"),
            Figure(
                "most in a second of a core",
                middle(bursts, "lane", lambda one: one.a_second),
                "",
                at_least(RATE),
            ),
            Figure("… aiomqtt", middle(bursts, "aiomqtt", lambda one: one.a_second), ""),
            Figure("… paho in the loop", middle(bursts, "paho", lambda one: one.a_second), ""),
            Figure(
                f"subscribing to {3 * DEVICES:,} topics",
                middle(paced, "lane", lambda one: one.subscribe_s),
                "s",
            ),
            Figure("memory", middle(paced, "lane", lambda one: one.rss_mb), "MB"),
        ],
        rounds=[
            {"paced": {client: asdict(one) for client, one in first.items()}}
            | {"burst": {client: asdict(one) for client, one in second.items()}}
            for first, second in zip(paced, bursts, strict=True)
        ],
        remarks=[
            "MQTT 5, QoS 0, uvloop; the same driver and table behind every client",
            f"most in a second: {burst:,} messages, offered at {BURST_RATE:,}/s",
        ],
    )


def main() -> int:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--hear", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--publish", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if options.publish:
            runner.run(_publish(*options.publish))
            return 0
        if options.hear:
            client, port, offered = options.hear
            print(json.dumps(asdict(runner.run(_hear(client, int(port), int(offered))))))
            return 0
    tell(measure(options.rounds, options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
