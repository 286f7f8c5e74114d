"""What a daemon lives among: a plant, and an exchange that fails all the time, in a process of their own."""

import asyncio
import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from daemon.signing import PrivateKey
from daemon.timestamps import format_utc
from sim_devices.exchange import Exchange
from sim_devices.exchange.faults import Faults, WrongReceipt
from sim_devices.plant import Plant
from tests.world.mosquitto import free_port
from tests.world.telling_life import ErringClock

SITE = "lhe-01"
KEY = PrivateKey.from_seed(b"\x09" * 32)
POINTS = ("meter", "feeder")
"""The site's meter, and one that is taken for a feeder's."""


@dataclass(slots=True)
class Outside:
    """How whoever kills the daemon asks for the truth about the plant."""

    _pipe: Connection
    still_since: str = ""
    """Since when nothing is drawn: an interval that begins then has the same register at both ends."""

    def stand_still(self) -> int:
        """The plant draws nothing from now on; what its meter's register really is."""
        self._pipe.send("still")
        now_s, register_wh = self._pipe.recv()
        self.still_since = format_utc(now_s + 1)
        return int(register_wh)

    def go_on(self) -> None:
        """The plant draws power again."""
        self._pipe.send("go")
        self._pipe.recv()


@contextmanager
def outside(
    folder: Path,
    *,
    seed: int,
    interval_s: int,
    clock_error_s: float,
    fork: Callable[[Callable[[], None]], int],
) -> Iterator[Outside]:
    """Plant and exchange, while the context lasts. Writes `site.toml` and the key beside it."""
    ours, theirs = Pipe()
    child = fork(lambda: asyncio.run(_be(folder, theirs, seed, interval_s, clock_error_s)))
    try:
        ours.recv()
        yield Outside(ours)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


async def _be(folder: Path, pipe: Connection, seed: int, interval_s: int, clock_error_s: float) -> None:
    clock = ErringClock(clock_error_s)
    exchange = Exchange(path=folder / "book.db", clock=clock.wall)
    exchange.register_site(SITE, KEY.public_jwk(), KEY.kid)
    plant = Plant(4, 0, 0, seed, check_meter=True, clock=clock, remember=False)
    async with exchange, plant:
        _write(folder, plant, exchange, interval_s)
        step, loop = plant.truth.step, asyncio.get_running_loop()

        def stand(dt_s: float) -> None:
            """Nobody but the meter sees a difference to a power cut."""
            del dt_s

        def heed() -> None:
            still = pipe.recv() == "still"
            plant.truth.step = stand if still else step  # type: ignore[method-assign] # on purpose
            pipe.send((clock.wall(), plant.truth.meter.register_wh))

        loop.add_reader(pipe.fileno(), heed)
        pipe.send("ready")
        await _trouble(exchange.faults, random.Random(seed))


async def _trouble(faults: Faults, rng: random.Random) -> None:
    troubles: list[Callable[[], None]] = [
        faults.drop_before_commit,
        faults.drop_after_commit,
        faults.truncate,
        lambda: faults.refuse(503, times=rng.randint(1, 3)),
        lambda: faults.refuse(429, retry_after_s=1, times=1),
        lambda: faults.falsify(rng.choice(list(WrongReceipt))),
        lambda: faults.delay(rng.uniform(0, 0.02), times=3),
    ]
    while True:
        await asyncio.sleep(rng.uniform(0.0, 0.6))
        rng.choice(troubles)()


def _write(folder: Path, plant: Plant, exchange: Exchange, interval_s: int) -> None:
    key = folder / "site.jwk"
    key.touch(mode=0o600)
    key.write_text(json.dumps({**KEY.private_jwk(), "kid": KEY.kid}), encoding="ascii")
    receipts = ", ".join(f'{name} = "{value}"' for name, value in exchange.public_jwk.items())
    text = f"""
[site]
id = "{SITE}"
contract_max_mw = {plant.nameplate_w * 2 / 1e6:.6f}
failsafe_mw = {plant.nameplate_w / 1e6:.6f}
interval_s = {interval_s}
state_dir = "state"
[keys]
site = "site.jwk"
[mqtt]
url = "mqtt://127.0.0.1:{free_port()}"
[settlement]
url = "{exchange.url}"
keys = [{{ kid = "{exchange.kid}", jwk = {{ {receipts} }} }}]
[http]
listen = "127.0.0.1:{free_port()}"
{_devices(plant)}
"""
    (folder / "site.toml").write_text(text, encoding="utf-8")


def _devices(plant: Plant) -> str:
    """The check meter is taken for a feeder's, that more than one point is settled."""
    role = 'role = "check-meter"'
    text = plant.config_toml()
    assert role in text
    # A register counts for an interval's end if it was read within half an interval before: with intervals of
    # a second, meters read once a second would never be in time, or always, by chance.
    text = text.replace('profile = "sim-meter"', 'profile = "sim-meter"\nperiod_s = 0.2')
    circuit = plant.circuits[0].id
    return text.replace(role, f'role = "circuit-meter"\ncircuit = "{circuit}"').replace(
        '"check-meter"', '"feeder"'
    )
