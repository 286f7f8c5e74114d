"""The demo's dispatcher: signs quotas and heartbeats, and verifies what the site answers."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from daemon.clock import Clock
from daemon.commands.orders import ScheduleEntry
from daemon.commands.sender import Sender, Signed
from daemon.commands.words import RSP_TYP, Lane, Status
from daemon.mqtt.connection import MqttConnection
from daemon.mqtt.orders import JOSE
from daemon.mqtt.topics import Topics
from daemon.signing import PublicKey, SigningError, loads, parse, verify
from sim_devices.demo.documents import Documents, PublishedLease, PublishedQuota

LEASE_EVERY_S = 1.0
LEASE_LIFE_S = 60


class Dispatcher:
    """Publishes over MQTT: quotas retained, heartbeats every second while `leasing`.

    Args:
        connection: to the broker; `run` keeps it.
        sender: signs with the dispatcher's key.
        site_key: verifies the site's answers.
        topics: of the site.
        documents: what was published is noted there, with its time.
        clock: gives that time.
        note: told what is worth a line on the screen.
    """

    def __init__(
        self,
        connection: MqttConnection,
        sender: Sender,
        site_key: PublicKey,
        topics: Topics,
        documents: Documents,
        clock: Clock,
        note: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._sender = sender
        self._site_key = site_key
        self._topics = topics
        self._documents = documents
        self._clock = clock
        self._note = note
        self._rev = 0
        self._sent: dict[str, str] = {}
        self._answers: dict[str, list[Status]] = {}
        self.leasing = True
        self.states: list[tuple[float, dict[str, Any]]] = []
        """Unix time and content of every `state` that the site published: hints, for the screen."""
        self.said = asyncio.Event()
        """Set whenever a `state` came in; whoever waits for one clears it."""
        connection.subscribe(topics.rsp("+"), self._answered)
        connection.subscribe(topics.state, self._state)

    @property
    def state(self) -> dict[str, Any]:
        """What the site said last of itself; empty while it has said nothing."""
        return self.states[-1][1] if self.states else {}

    @property
    def accepted(self) -> int:
        """Messages that the site accepted, by its verified answers."""
        return sum(Status.REJECTED not in said for said in self._answers.values())

    @property
    def rejected(self) -> int:
        """Messages that the site rejected, by its verified answers."""
        return sum(Status.REJECTED in said for said in self._answers.values())

    def online_since(self) -> float | None:
        """Unix time at which the site was first heard of."""
        return next((wall_s for wall_s, state in self.states if state.get("online")), None)

    async def run(self) -> None:
        """Keep the connection and the heartbeats until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._connection.run(), name="dispatcher link")
            tasks.create_task(self._keep_leasing(), name="dispatcher leases")

    def quota(self, entries: Sequence[ScheduleEntry]) -> PublishedQuota:
        """Sign and publish the next quota, retained; it is in force from now on."""
        self._rev += 1
        signed = self._sender.quota(self._rev, entries)
        published = PublishedQuota(self._rev, tuple(entries), signed.exp, self._clock.wall())
        self._publish(signed, retain=True)
        self._documents.quotas.append(published)
        return published

    def lease(self) -> None:
        """Sign and publish a heartbeat for the newest quota; none without one, nor without a connection."""
        if not self._rev or not self._connection.connected:
            return
        signed = self._sender.lease(self._rev, life_s=LEASE_LIFE_S)
        published_s = self._clock.wall()
        self._publish(signed, retain=False)
        iat = signed.exp - LEASE_LIFE_S
        self._documents.leases.append(PublishedLease(self._rev, iat, signed.exp, published_s))

    def ping(self) -> None:
        """Send a command; the answer shows that the site listens."""
        self._publish(self._sender.command("ping", lane=Lane.DISPATCHER), retain=False)

    def _publish(self, signed: Signed, *, retain: bool) -> None:
        if signed.lane is not Lane.LEASE:
            self._sent[signed.jti] = signed.kid
        self._connection.publish(
            self._topics.lane(signed.lane),
            signed.jws.encode("ascii"),
            retain=retain,
            expires_s=max(signed.exp - self._clock.wall(), 1.0),
            content_type=JOSE,
        )

    async def _keep_leasing(self) -> None:
        while True:
            if self.leasing:
                self.lease()
            await asyncio.sleep(LEASE_EVERY_S)

    def _answered(self, topic: str, payload: bytes, retained: bool) -> None:
        del retained
        try:
            envelope = parse(payload)
            verify(envelope, self._site_key)
            claims = loads(envelope.payload)
        except SigningError as error:
            self._note(f"an answer that does not verify: {error}")
            return
        jti = claims["jti"]
        if envelope.header.typ != RSP_TYP or topic != self._topics.rsp(jti):
            return
        if self._sent.get(jti) == claims["aud"]:
            self._answers.setdefault(jti, []).append(Status(claims["status"]))

    def _state(self, topic: str, payload: bytes, retained: bool) -> None:
        del topic, retained
        state: dict[str, Any] = json.loads(payload)
        before = self.state
        self.states.append((self._clock.wall(), state))
        self.said.set()
        if state.get("state") == "init" and self.leasing:
            # A site that has just come up need not wait for the next heartbeat.
            self.lease()
        if state.get("state") != before.get("state"):
            self._note(f"the site is {state.get('state', 'offline')}")
