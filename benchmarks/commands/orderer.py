"""A dispatcher and an operator at the broker, who note when each answer comes."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Self

import aiomqtt

from daemon.commands.sender import Signed
from daemon.commands.words import Lane, Op, Role
from daemon.mqtt.topics import Topics
from daemon.signing import loads, parse
from tests.world.real_dispatch import Dispatch


class Orderer:
    """Sends through a connection of its own; documents are signed by `dispatch`."""

    def __init__(self, dispatch: Dispatch, site: str, port: int) -> None:
        self._dispatch = dispatch
        self._topics = Topics(site)
        self._client = aiomqtt.Client("127.0.0.1", port, identifier="orderer")
        self._tasks: list[asyncio.Task[None]] = []
        self._sent_s: dict[str, float] = {}
        self._answered: dict[str, asyncio.Event] = {}
        self.took_s: dict[str, float] = {}
        """Until the first answer, by jti."""
        self.words: dict[str, str] = {}
        """The first answer's, by jti."""

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        await self._client.subscribe(self._topics.rsp("+"), qos=1)
        self._tasks.append(asyncio.create_task(self._listen()))
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.__aexit__(None, None, None)

    async def _listen(self) -> None:
        async for message in self._client.messages:
            now_s, jti = time.monotonic(), str(message.topic).rpartition("/")[2]
            if jti in self._sent_s and jti not in self.took_s:
                self.took_s[jti] = now_s - self._sent_s[jti]
                self.words[jti] = loads(parse(bytes(message.payload)).payload)["status"]
                self._answered[jti].set()

    async def send(self, message: Signed) -> str:
        """Publish; the jti."""
        self._sent_s.setdefault(message.jti, time.monotonic())
        self._answered.setdefault(message.jti, asyncio.Event())
        topic = self._topics.lane(message.lane)
        await self._client.publish(topic, message.jws.encode(), qos=1, retain=message.lane is Lane.QUOTA)
        return message.jti

    async def answer(self, jti: str, within_s: float) -> str | None:
        """The first answer's word; `None` = none came in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._answered[jti].wait()
        except TimeoutError:
            return None
        return self.words[jti]

    def command(self, op: Op, args: Mapping[str, Any] | None = None) -> Signed:
        """An operator's command, signed now."""
        return self._dispatch.signed_command(op, args, Role.OPERATOR)

    def quota(self, limit_w: int | None) -> Signed:
        """The next quota: one limit for an hour."""
        return self._dispatch.signed_quota((0.0, limit_w))
