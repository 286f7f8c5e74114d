"""Whoever commands a site over a real broker: signs, sends, and notes everything that the site says."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Self

import aiomqtt

from daemon.clock import SystemClock, SystemEntropy
from daemon.commands.orders import ScheduleEntry
from daemon.commands.sender import Sender, Signed
from daemon.commands.words import Lane, Op, Role
from daemon.mqtt.topics import Topics
from daemon.signing import PrivateKey, PublicKey, loads, parse, verify
from tests.world.brokers import Reachable
from tests.world.mqtt import until

LEASE_EVERY_S = 1.0
HOUR_S = 3600


class Dispatch:
    """A dispatcher and an operator with a connection of their own; leases every second while `leasing`.

    Args:
        broker: where to.
        site: the site's id.
        site_key: verifies every answer; one that does not verify fails the test.
    """

    def __init__(self, broker: Reachable, site: str, site_key: PublicKey) -> None:
        self.keys = {role: PrivateKey.generate() for role in (Role.DISPATCHER, Role.OPERATOR)}
        self.topics = Topics(site)
        self.clock = SystemClock()
        self.leasing = False
        self.rev = 0
        self.states: list[tuple[float, dict[str, Any]]] = []
        """Unix time of arrival and content, retained ones too."""
        self.events: list[dict[str, Any]] = []
        self.telemetry: list[dict[str, Any]] = []
        self.answers: dict[str, list[dict[str, Any]]] = {}
        """By jti, in the order of arrival."""
        self._broker = broker
        self._site_key = site_key
        self._senders = {
            role: Sender(key, site, self.clock, SystemEntropy()) for role, key in self.keys.items()
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._client = self._fresh_client()

    def _fresh_client(self) -> aiomqtt.Client:
        return aiomqtt.Client("127.0.0.1", self._broker.port, protocol=self._broker.version, timeout=5)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        for topic in (self.topics.state, self.topics.event, self.topics.telemetry, self.topics.rsp("+")):
            await self._client.subscribe(topic, qos=1)
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._lease())]
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.__aexit__(None, None, None)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    # --- what the site says ---

    @property
    def state(self) -> dict[str, Any]:
        """What the site said last of itself; empty while it has said nothing."""
        return self.states[-1][1] if self.states else {}

    async def state_like(self, within_s: float = 15.0, **members: Any) -> dict[str, Any]:
        """Wait until the last `state` has these members."""
        return await self.state_where(lambda state: members.items() <= state.items(), within_s)

    async def state_where(
        self, condition: Callable[[dict[str, Any]], bool], within_s: float = 15.0
    ) -> dict[str, Any]:
        """Wait until the last `state` is so.

        Raises:
            TimeoutError: it never was; the last one is in the message.
        """
        try:
            await until(lambda: condition(self.state), within_s)
        except TimeoutError:
            raise TimeoutError(f"the site's last state is {self.state}") from None
        return self.state

    async def answered(self, message: Signed, within_s: float = 15.0) -> list[str]:
        """Wait for the last answer to a message; the words of all."""
        await until(lambda: set(self.words(message)) & {"done", "failed", "rejected"}, within_s)
        return self.words(message)

    def words(self, message: Signed) -> list[str]:
        """The words of the answers so far."""
        return [claims["status"] for claims in self.answers.get(message.jti, [])]

    # --- what is said to it ---

    async def quota(self, *steps: tuple[float, int | None]) -> Signed:
        """Publish the next quota, as `signed_quota` makes it."""
        return await self.publish(self.signed_quota(*steps))

    def signed_quota(self, *steps: tuple[float, int | None]) -> Signed:
        """The next quota: (seconds from now, limit), each until the next, the last for an hour."""
        self.rev += 1
        wall_s = self.clock.wall()
        starts = [int(wall_s + after_s) for after_s, _ in steps]
        ends = [*starts[1:], starts[-1] + HOUR_S]
        limits = [limit_w for _, limit_w in steps]
        entries = [ScheduleEntry(*entry) for entry in zip(starts, ends, limits, strict=True)]
        return self._senders[Role.DISPATCHER].quota(self.rev, entries)

    async def lease(self) -> None:
        """Publish one heartbeat for the newest quota."""
        await self.publish(self._senders[Role.DISPATCHER].lease(self.rev, life_s=60))

    async def command(
        self, op: Op, args: Mapping[str, Any] | None = None, role: Role = Role.OPERATOR
    ) -> Signed:
        """Publish a command."""
        return await self.publish(self.signed_command(op, args, role))

    def signed_command(
        self, op: Op, args: Mapping[str, Any] | None = None, role: Role = Role.OPERATOR
    ) -> Signed:
        """A command, signed now."""
        return self._senders[role].command(op, args, lane=Lane.of_commands(role))

    async def publish(self, message: Signed) -> Signed:
        """Publish a signed message where it belongs; again, if it was published before."""
        await self._client.publish(
            self.topics.lane(message.lane),
            message.jws.encode("ascii"),
            qos=1,
            retain=message.lane is Lane.QUOTA,
        )
        return message

    async def _lease(self) -> None:
        while True:
            if self.leasing and self.rev:
                await self.lease()
            await asyncio.sleep(LEASE_EVERY_S)

    async def _listen(self) -> None:
        async for message in self._client.messages:
            topic, payload = str(message.topic), bytes(message.payload)
            if topic == self.topics.state:
                self.states.append((self.clock.wall(), json.loads(payload)))
            elif topic == self.topics.event:
                self.events.append(json.loads(payload))
            elif topic == self.topics.telemetry:
                self.telemetry.append(json.loads(payload))
            else:
                self._answered(topic, payload)

    def _answered(self, topic: str, payload: bytes) -> None:
        envelope = parse(payload)
        verify(envelope, self._site_key)
        claims = loads(envelope.payload)
        assert topic == self.topics.rsp(claims["jti"])
        self.answers.setdefault(claims["jti"], []).append(claims)
