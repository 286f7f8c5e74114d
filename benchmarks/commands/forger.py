"""Forged messages at a steady rate, in a process of its own; no two are the same bytes.

A signature that is no good costs as much to check as one that is: here it is 64 drawn bytes.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from enum import StrEnum
from random import Random

import uvloop

from daemon.commands.words import Lane
from daemon.mqtt.packets import Version, connect, publish
from daemon.mqtt.topics import Topics
from daemon.signing import b64url_encode

_TICK_S = 0.01
_BLOCK = 64
"""Signatures that are drawn at once."""


class Forger(StrEnum):
    """Who forges."""

    STRANGER = "stranger"
    """Signs with a key of his own, under its own name."""
    GARBAGE = "garbage"
    """Sends anything."""
    IMITATOR = "imitator"
    """Writes the name of the key that may speak on the topic."""


def forged(forger: Forger, lane: Lane, site: str, kid: str, rng: Random) -> Iterator[bytes]:
    """Messages without end. `kid` = of the key that may speak in the lane."""
    name = kid if forger is Forger.IMITATOR else "somebody-else"
    header = b64url_encode(json.dumps({"alg": "EdDSA", "kid": name, "typ": lane.typ}).encode())
    number = 0
    while True:
        noise = rng.randbytes(64 * _BLOCK)
        for at in range(0, len(noise), 64):
            number += 1
            signature = noise[at : at + 64]
            if forger is Forger.GARBAGE:
                yield b"%d " % number + signature * 8
            else:
                # S below the group's order: it has to be worked out to be known for false.
                claims = b64url_encode(_claims(lane, site, name, number))
                spoilt = b64url_encode(signature[:63] + bytes(1))
                yield f"{header}.{claims}.{spoilt}".encode()


def _claims(lane: Lane, site: str, kid: str, number: int) -> bytes:
    now_s = int(time.time())
    said: dict[str, object] = {"op": "hold", "args": {"limit_w": 1, "reason": "forged"}}
    if not lane.commands:
        said = {"rev": 10_000 + number}
    if lane is Lane.QUOTA:
        entry = {"start": "2026-01-01T00:00:00Z", "end": "2036-01-01T00:00:00Z", "limit_w": None}
        said |= {"schedule": [entry]}
    common = {
        "iss": kid,
        "aud": site,
        "jti": f"00000000-0000-4000-8000-{number:012d}",
        "seq": (now_s + 60) * 1_000_000 + number,
        "iat": now_s,
        "exp": now_s + 300,
    }
    return json.dumps({**common, **said}).encode()


async def forge(
    port: int, site: str, kids: dict[Lane, str], forgers: list[Forger], rate: float, seconds: float
) -> int:
    """Publish; how many. Each of the forgers takes its turn on each of the topics."""
    topics, rng = Topics(site), Random(1)
    sources = [
        (topics.lane(lane), forged(forger, lane, site, kid, rng))
        for forger in forgers
        for lane, kid in kids.items()
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(connect(Version.V311, "forger", 60, most_bytes=1000))
    await reader.readexactly(4)
    loop = asyncio.get_running_loop()
    started_s, done = loop.time(), 0
    while (passed_s := loop.time() - started_s) < seconds:
        due = int(passed_s * rate)
        packets = []
        for number in range(done, due):
            topic, messages = sources[number % len(sources)]
            packets.append(publish(Version.V311, topic, next(messages), packet_id=None, retain=False))
        writer.write(b"".join(packets))
        await writer.drain()
        done = due
        await asyncio.sleep(_TICK_S)
    writer.close()
    await writer.wait_closed()
    return done


def main() -> None:
    """Be the forger; say how many messages there were."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--site", required=True)
    parser.add_argument("--kids", type=json.loads, required=True)
    parser.add_argument("--forgers", type=Forger, nargs="+", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    kids = {Lane(lane): kid for lane, kid in options.kids.items()}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        work = forge(options.port, options.site, kids, options.forgers, options.rate, options.seconds)
        print(runner.run(work), flush=True)


if __name__ == "__main__":
    main()
