"""Sending one signed message to a site and hearing its answers out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from daemon.clock import SystemClock, SystemEntropy
from daemon.commands.sender import Signed
from daemon.commands.words import RSP_TYP, Lane, Status
from daemon.config.settings import Mqtt, MqttProtocol
from daemon.errors import QuotawattError
from daemon.mqtt.connection import MqttConnection
from daemon.mqtt.orders import JOSE
from daemon.mqtt.topics import Topics
from daemon.signing import BadSignatureError, MalformedError, PublicKey, loads, parse

CONNECT_S = 8.0
"""Both versions of MQTT are tried in it."""
LAST_ANSWER_S = 930.0
"""A site gives a command up after 300 s, a restart after 900 s, and says so."""


class SilenceError(QuotawattError):
    """A broker or a site that does not answer."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer; `verified` = with the site's key."""

    claims: dict[str, Any]
    verified: bool

    @property
    def status(self) -> Status:
        """What it says."""
        return Status(self.claims["status"])


@dataclass(frozen=True, slots=True)
class TlsNames:
    """Files for a broker behind TLS; `None` = the system's authorities, no certificate of our own."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


def broker(url: str, files: TlsNames = TlsNames()) -> Mqtt:
    """The broker at `mqtt://[user[:password]@]host[:port]` or `mqtts://…`.

    Raises:
        ValueError: it is no such URL, or the files do not fit it.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        raise ValueError(f"{url!r} is no broker; mqtt://host:1883 or mqtts://host:8883 would be right")
    tls = parts.scheme == "mqtts"
    if not tls and files != TlsNames():
        raise ValueError(f"{url!r} is not encrypted; --ca, --cert and --cert-key are for mqtts://")
    if (files.cert is None) is not (files.key is None):
        raise ValueError("--cert and --cert-key go together")
    missing = [path for path in (files.ca, files.cert, files.key) if path is not None and not path.is_file()]
    if missing:
        raise ValueError(f"{missing[0]}: there is no such file")
    return Mqtt(
        host=parts.hostname,
        port=parts.port or (8883 if tls else 1883),
        tls=tls,
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        ca=files.ca,
        cert=files.cert,
        key=files.key,
        protocol=MqttProtocol.AUTO,
    )


@asynccontextmanager
async def connected(settings: Mqtt) -> AsyncIterator[MqttConnection]:
    """A connection to the broker within the block.

    Raises:
        SilenceError: the broker is not there.
    """
    connection = MqttConnection(settings, client_id=None, entropy=SystemEntropy())
    there = asyncio.Event()
    connection.on_connected(there.set)
    task = asyncio.create_task(connection.run(), name="mqtt")
    try:
        try:
            async with asyncio.timeout(CONNECT_S):
                await there.wait()
        except TimeoutError as error:
            raise SilenceError(f"no broker answers at {settings.host}:{settings.port}") from error
        yield connection
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def put(connection: MqttConnection, topics: Topics, message: Signed, lane: Lane | None = None) -> None:
    """Publish a signed message where it belongs, or in another lane."""
    left_s = max(message.exp - SystemClock().wall(), 1.0)
    connection.publish(
        topics.lane(lane or message.lane),
        message.jws.encode("ascii"),
        retain=message.lane is Lane.QUOTA,
        expires_s=left_s,
        content_type=JOSE,
    )


class Conversation:
    """The answers to one message, as they come in."""

    def __init__(
        self, connection: MqttConnection, topics: Topics, message: Signed, site_key: PublicKey | None
    ) -> None:
        self._message = message
        self._site = topics.site
        self._site_key = site_key
        self._answers: asyncio.Queue[Heard] = asyncio.Queue()
        self.ignored: list[str] = []
        """What came on the answer's topic and was none."""
        connection.subscribe(topics.rsp(message.jti), self._arrived)

    async def next(self, within_s: float) -> Heard:
        """The next answer.

        Raises:
            SilenceError: none came in time.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._answers.get()
        except TimeoutError as error:
            raise SilenceError(f"no answer from site {self._site} within {within_s:g} s") from error

    def _arrived(self, topic: str, payload: bytes, retained: bool) -> None:
        del topic, retained
        try:
            self._answers.put_nowait(Heard(self._claims(payload), self._site_key is not None))
        except (MalformedError, BadSignatureError, ValueError) as error:
            self.ignored.append(str(error))

    def _claims(self, payload: bytes) -> dict[str, Any]:
        envelope = parse(payload)
        if envelope.header.typ != RSP_TYP:
            raise ValueError(f"not an answer but {envelope.header.typ}")
        if self._site_key is not None:
            # The key was given for this site: under which name it signs does not matter.
            self._site_key.verify(envelope.signature, envelope.signing_input)
        claims = loads(envelope.payload)
        wanted = {"iss": self._site, "aud": self._message.kid, "jti": self._message.jti}
        if not isinstance(claims, dict) or any(claims.get(name) != value for name, value in wanted.items()):
            raise ValueError("an answer to something else")
        Status(str(claims.get("status")))
        return claims


async def converse(
    connection: MqttConnection,
    topics: Topics,
    message: Signed,
    *,
    site_key: PublicKey | None,
    lanes: list[Lane],
    first_s: float,
) -> tuple[Heard, list[str]]:
    """Send and hear out; the last answer, and what had to be ignored.

    Args:
        connection: to the broker.
        topics: the site's.
        message: what to send.
        site_key: with which answers are verified; `None` = they are believed.
        lanes: where to try it, until one does not deny the role.
        first_s: how long the first answer may take.

    Raises:
        SilenceError: the site did not answer, or not to the end.
    """
    conversation = Conversation(connection, topics, message, site_key)
    for lane in lanes:
        put(connection, topics, message, lane)
        heard = await conversation.next(first_s)
        denied = heard.status is Status.REJECTED and heard.claims.get("reason") == "role-denied"
        if not denied:
            break
    while heard.status is Status.ACCEPTED:
        heard = await conversation.next(LAST_ANSWER_S)
    return heard, conversation.ignored
