"""The whole daemon in virtual time: real code on every path but the sockets.

Plant, broker and exchange run in the same loop. Modbus goes byte for byte over connections in memory.
"""

import asyncio
import json
import random
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2

from daemon.config import Config, load_config
from daemon.mqtt.connection import LastWill
from daemon.outside import Outside
from daemon.service import Notifier
from daemon.signing import PrivateKey, dumps, loads, parse, sign
from daemon.store import Store
from daemon.store.database import Connect
from daemon.timestamps import format_utc
from daemon.wiring import SiteDaemon
from drivers.ports import TopicHandler
from sim_devices.exchange import Exchange
from sim_devices.mqtt.memory import MemoryBroker, MemoryBus
from sim_devices.plant import Plant
from tests.world.inline_store import InlineConnection, connect_inline
from tests.world.loop import VirtualClock, VirtualLoop

SITE = "virtual-01"


class SeededEntropy:
    """Randomness that a seed replays."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def uniform(self, low: float, high: float) -> float:
        return self._rng.uniform(low, high)


@dataclass
class MemoryLink:
    """A `BrokerLink` over a bus in memory; `cut` and `mend` are the broker's outages."""

    bus: MemoryBus
    will: Callable[[], LastWill]
    calls: list[Callable[[], None]] = field(default_factory=list)

    @property
    def connected(self) -> bool:
        return self.bus.connected

    def on_connected(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        self.bus.subscribe(topic_filter, handler)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expires_s: float | None = None,
        content_type: str | None = None,
    ) -> bool:
        del expires_s, content_type
        return self.bus.publish(topic, payload, qos=qos, retain=retain)

    async def drained(self) -> None: ...

    async def run(self) -> None:
        for call in self.calls:
            call()
        await asyncio.Event().wait()

    def cut(self) -> None:
        """The connection is lost: the broker speaks the will."""
        self.bus.connected = False
        will = self.will()
        self.bus.broker.publish(will.topic, will.payload, retain=True)

    def mend(self) -> None:
        """It is back: retained messages come again."""
        self.bus.connected = True
        for topic, payload in list(self.bus.broker.retained.items()):
            self.bus.deliver(topic, payload, retained=True)
        for call in self.calls:
            call()


@dataclass
class MemoryLane:
    """A `DeviceBus` over the same bus in memory as the `MemoryLink`: one cut is felt by both."""

    bus: MemoryBus

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        self.bus.subscribe(topic_filter, handler)

    def unsubscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        self.bus.unsubscribe(topic_filter, handler)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        return self.bus.publish(topic, payload, qos=qos, retain=retain)

    async def drained(self) -> None: ...

    async def run(self) -> None:
        await asyncio.Event().wait()


class Dispatcher:
    """Signs and publishes as the exchange's dispatch does, and hears what the site says."""

    def __init__(self, broker: MemoryBroker, clock: VirtualClock) -> None:
        self.key = PrivateKey.from_seed(b"d" * 32)
        self.operator = PrivateKey.from_seed(b"o" * 32)
        self._bus = broker.bus()
        self._clock = clock
        self._seq = 0
        self.rev = 0
        self.leasing = True
        self.lease_every_s = 10.0
        self.last_lease_s = -1e18
        """Unix seconds."""
        self.answers: list[dict[str, Any]] = []
        self._said = b""
        """The last `state`. A week of them would fill the memory, so no other is kept."""
        self.events: list[dict[str, Any]] = []
        self._bus.subscribe(f"quotawatt/v1/{SITE}/rsp/+", self._answered)
        self._bus.subscribe(f"quotawatt/v1/{SITE}/state", self._heard_state)
        self._bus.subscribe(f"quotawatt/v1/{SITE}/event", lambda _, body, __: self.events.append(loads(body)))

    def _answered(self, _topic: str, payload: bytes, _retained: bool) -> None:  # noqa: FBT001 - TopicHandler
        self.answers.append(loads(parse(payload).payload))

    def _heard_state(self, _topic: str, payload: bytes, _retained: bool) -> None:  # noqa: FBT001 - TopicHandler
        self._said = payload

    @property
    def state(self) -> dict[str, Any]:
        """The last `state` that the site published.

        Raises:
            ValueError: it has not published any.
        """
        return dict(loads(self._said))

    def _claims(self, key: PrivateKey, life_s: int) -> dict[str, Any]:
        now_s = int(self._clock.wall())
        self._seq = max(self._seq + 1, int(self._clock.wall() * 1e6))
        return {
            "iss": key.kid,
            "aud": SITE,
            "jti": str(uuid.UUID(int=self._seq, version=4)),
            "seq": self._seq,
            "iat": now_s,
            "exp": now_s + life_s,
        }

    def quota(self, *steps: tuple[float, int | None], last_s: float = 86_400) -> None:
        """A new quota, retained: (seconds from now, limit) each until the next, the last for `last_s`."""
        self.rev += 1
        starts = [int(self._clock.wall() + after) for after, _ in steps]
        ends = [*starts[1:], int(starts[-1] + last_s)]
        schedule = [
            {"start": format_utc(starts[i]), "end": format_utc(ends[i]), "limit_w": limit}
            for i, (_, limit) in enumerate(steps)
        ]
        claims = self._claims(self.key, ends[-1] - int(self._clock.wall()))
        claims |= {"rev": self.rev, "schedule": schedule}
        jws = sign(dumps(claims), "qw-quota+jws", self.key)
        self._bus.publish(f"quotawatt/v1/{SITE}/quota", jws.encode(), retain=True)

    def lease(self) -> None:
        """One lease for the newest quota."""
        claims = self._claims(self.key, 300) | {"rev": self.rev}
        self.last_lease_s = self._clock.wall()
        jws = sign(dumps(claims), "qw-lease+jws", self.key)
        self._bus.publish(f"quotawatt/v1/{SITE}/lease", jws.encode())

    def command(self, op: str, args: Mapping[str, Any] | None = None) -> str:
        """An operator's command; returns its jti."""
        claims = self._claims(self.operator, 120) | {"op": op, "args": dict(args or {})}
        jws = sign(dumps(claims), "qw-cmd+jws", self.operator)
        self._bus.publish(f"quotawatt/v1/{SITE}/cmd/operator", jws.encode())
        return str(claims["jti"])

    async def run(self) -> None:
        """Leases while `leasing`."""
        while True:
            if self.leasing:
                self.lease()
            await asyncio.sleep(self.lease_every_s)


class VirtualSite:
    """Plant, broker, exchange and daemon. `async with VirtualSite(...) as site:` and let time pass."""

    def __init__(
        self,
        loop: VirtualLoop,
        folder: Path,
        *,
        miners: int = 6,
        racks: int = 1,
        seed: int = 1,
        period_s: float = 5.0,
        meter_period_s: float | None = None,
        step_s: float = 1.0,
        control: str = "",
        wall_s: float = 1_790_000_000.0,
        contract_share: float = 1.15,
        failsafe_share: float = 0.3,
        **plant: Any,
    ) -> None:
        """`meter_period_s`: of the site's meters, by default as the others'; `contract_share`,
        `failsafe_share`: of the nameplate; `plant`: further options of `Plant`."""
        self.clock = VirtualClock(loop, wall_s)
        self.broker = MemoryBroker()
        self.exchange = Exchange(clock=self.clock.wall)
        self.dispatcher = Dispatcher(self.broker, self.clock)
        options = {"port": 5020, "bus": self.broker.bus(), "step_s": step_s, "clock": self.clock, **plant}
        self.plant = Plant(miners, racks, options.pop("pdus", None), seed, **options)
        self.contract_w = round(contract_share * self.plant.nameplate_w)
        self.failsafe_w = round(failsafe_share * self.plant.nameplate_w)
        self._folder = folder
        self._period_s = period_s
        self._meter_period_s = period_s if meter_period_s is None else meter_period_s
        self._control = control
        self._entropy = SeededEntropy(seed)
        self._tasks: list[asyncio.Task[Any]] = []
        self._stop = asyncio.Event()
        self._connections: list[InlineConnection] = []
        self.link: MemoryLink | None = None
        self.connect_samples: Connect = self._connect_database
        self.daemon: SiteDaemon | None = None

    async def __aenter__(self) -> Self:
        await self.plant.__aenter__()
        self.key = PrivateKey.from_seed(b"s" * 32)
        self.exchange.register_site(SITE, self.key.public_jwk())
        self.config = self._configured()
        self._tasks.append(asyncio.create_task(self.dispatcher.run(), name="dispatcher"))
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.plant.__aexit__(None, None, None)
        self.exchange.close()

    @property
    def full_w(self) -> float:
        return self.plant.nameplate_w

    def _configured(self) -> Config:
        key_file = self._folder / "site.jwk"
        key_file.touch(mode=0o600)
        key_file.write_text(json.dumps(self.key.private_jwk()), encoding="ascii")
        entry, meter = "[[devices]]\n", re.compile(r'period_s = .*\n(?=id = "(check-)?meter")')
        plant = self.plant.config_toml().replace(entry, f"{entry}period_s = {self._period_s}\n")
        plant = meter.sub(f"period_s = {self._meter_period_s}\n", plant)
        text = f"""
[site]
id = "{SITE}"
contract_max_mw = {self.contract_w / 1e6:.6f}
failsafe_mw = {self.failsafe_w / 1e6:.6f}
interval_s = 300
state_dir = "{self._folder / "state"}"
[control]
{self._control}
[keys]
site = "site.jwk"
[mqtt]
url = "mqtt://127.0.0.1:1883"
[settlement]
url = "http://127.0.0.1:9/"
keys = [{{ kid = "{self.exchange.kid}", jwk = {_inline(self.exchange.public_jwk)} }}]
[[trust.keys]]
kid = "{self.dispatcher.key.kid}"
role = "dispatcher"
jwk = {_inline(self.dispatcher.key.public_jwk())}
[[trust.keys]]
kid = "{self.dispatcher.operator.kid}"
role = "operator"
jwk = {_inline(self.dispatcher.operator.public_jwk())}
{plant}
"""
        path = self._folder / "site.toml"
        path.write_text(text, encoding="utf-8")
        return load_config(path)

    async def start(self) -> None:
        """Start the daemon, or start it again."""
        (self._folder / "state").mkdir(exist_ok=True)
        self._stop = asyncio.Event()
        self.daemon = await SiteDaemon.open(self.config, self.outside())
        self._running = asyncio.create_task(self.daemon.run(self._stop), name="daemon")

    def outside(self) -> Outside:
        """The world that the daemon is in."""
        return Outside(
            clock=self.clock,
            entropy=self._entropy,
            open_store=self._open_store,
            connect_samples=self.connect_samples,
            link=self._connect,
            lane=self._connect_devices,
            http=lambda _: httpx2.AsyncClient(transport=self.exchange.transport()),
            serve_http=False,
            notifier=Notifier(None),
            aside=_at_once,
        )

    async def _open_store(self, config: Config) -> Store:
        return await Store.open(config.site.state_dir / "site.db", self._connect_database)

    async def _connect_database(self, path: Path) -> InlineConnection:
        connection = await connect_inline(path)
        self._connections.append(connection)
        return connection

    def _connect(self, _config: Config, will: Callable[[], LastWill]) -> MemoryLink:
        self.link = MemoryLink(self.join(), will)
        return self.link

    def join(self) -> MemoryBus:
        """The daemon's connection to the broker."""
        return self.broker.bus()

    def _connect_devices(self, _config: Config) -> MemoryLane:
        assert self.link is not None
        return MemoryLane(self.link.bus)

    async def stop(self) -> None:
        """Stop the daemon as SIGTERM does."""
        if self.daemon is not None:
            self._stop.set()
            await self._running
            self._gone()

    async def kill(self) -> None:
        """End the daemon as SIGKILL does: what is not on disk is lost, and the broker speaks its will."""
        if self.daemon is None or self.link is None:
            return
        for connection in self._connections:
            connection.kill()
        if self.link.connected:
            self.link.cut()
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._gone()

    def _gone(self) -> None:
        self.daemon = None
        self._connections.clear()
        if self.link is not None:
            self.link.bus.connected = False
            self.broker.leave(self.link.bus)

    async def run(self, seconds: float) -> None:
        """Let time pass; a daemon that died says so here."""
        done, _ = await asyncio.wait({self._running}, timeout=seconds)
        for task in done:
            task.result()

    @property
    def state(self) -> dict[str, Any]:
        """The last `state` that the site published."""
        return self.dispatcher.state


T = TypeVar("T")


async def _at_once(work: Callable[[], T]) -> T:
    return work()


def _inline(jwk: Mapping[str, Any]) -> str:
    members = ", ".join(f'{name} = "{jwk[name]}"' for name in ("kty", "crv", "x"))
    return f"{{ {members} }}"
