"""A whole small site over real sockets: simulated plant, exchange, any broker, and the real daemon."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2

from daemon.commands.words import Role
from daemon.ledger.chain import StoredRecord, verify_run
from daemon.ledger.ledger import Ledger
from daemon.signing import PrivateKey
from daemon.store import Store
from sim_devices.exchange import Exchange
from sim_devices.plant import Moment, Plant
from tests.world.brokers import Reachable
from tests.world.daemon_child import DaemonChild, run_quotawatt
from tests.world.finished import Finished
from tests.world.mosquitto import free_port
from tests.world.mqtt import until
from tests.world.real_dispatch import Dispatch
from tests.world.settled_book import METER, SettledBook

SITE = "real-01"
INTERVAL_S = 10
SETTLE_S = 10.0
LEASE_TIMEOUT_S = 10
"""More than a daemon needs to be started again where four sites share two cores."""
CONTROL: Mapping[str, float] = {
    "lease_timeout_s": LEASE_TIMEOUT_S,
    "failsafe_ramp_s": 10,
    "ramp_up_pct_per_min": 200,
    "settle_s": SETTLE_S,
}
METER_CLASS = 0.005
"""A class 0.5 meter's error: what the daemon sees may be so much below the truth."""


@dataclass(frozen=True, slots=True)
class Shares:
    """The configured limits as shares of the plant's power at full load."""

    contract: float = 1.1
    failsafe: float = 0.4


class RealSite:
    """Plant, exchange and a dispatcher in this process, the daemon in a child. Start it with `daemon.start`.

    Args:
        folder: for the files of the site.
        broker: a running one, or the place of one that is not there yet (`reach` connects later).
        miners, racks, seed: of the plant.
        control: members of `[control]` in place of those of `CONTROL`.
        interval_s: settlement interval.
        present: whether broker and exchange are there from the beginning.
    """

    def __init__(
        self,
        folder: Path,
        broker: Reachable,
        *,
        miners: int = 12,
        racks: int = 1,
        seed: int = 1,
        control: Mapping[str, float] | None = None,
        interval_s: int = INTERVAL_S,
        present: bool = True,
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.key = PrivateKey.generate()
        self.exchange = Exchange()
        self.dispatch = Dispatch(broker, SITE, self.key.public())
        self.plant = Plant(
            miners, racks, None, seed, mqtt_url=broker.devices_url if racks else None, disobedient_share=0.0
        )
        self.config = folder / "site.toml"
        self.http_port = free_port()
        self.daemon = DaemonChild(self.config, folder / "daemon.log")
        self.full_w = 0.0
        self.book = SettledBook(self.exchange, SITE)
        self._control = {**CONTROL, **(control or {})}
        self._interval_s = interval_s
        self._present = present
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.exchange)
            await stack.enter_async_context(self.plant)
            stack.push_async_callback(self.daemon.kill)
            self.full_w = self.plant.truth.true_power_w or self.plant.nameplate_w
            self.exchange.register_site(SITE, self.key.public_jwk(), self.key.kid)
            if self._present:
                await stack.enter_async_context(self.dispatch)
            else:
                await self.exchange.stop()
            self._write_keys()
            self.configure()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def reach(self) -> None:
        """Connect the dispatcher to a broker that came later."""
        await self._stack.enter_async_context(self.dispatch)

    def share_w(self, share: float) -> int:
        """A share of the power at full load, in whole watts."""
        return round(share * self.full_w)

    # --- files ---

    def _write_keys(self) -> None:
        keys = {"site": self.key, **{str(role): key for role, key in self.dispatch.keys.items()}}
        for name, key in keys.items():
            secret = self.folder / f"{name}.jwk"
            secret.touch(mode=0o600)
            secret.write_text(json.dumps({**key.private_jwk(), "kid": key.kid}), encoding="ascii")
        public = {**self.key.public_jwk(), "kid": self.key.kid}
        (self.folder / "site.pub.jwk").write_text(json.dumps(public), encoding="ascii")

    def configure(self, *, shares: Shares = Shares(), more: str = "") -> None:
        """Write the configuration file; `more` = further tables."""
        control = "\n".join(f"{name} = {value}" for name, value in self._control.items())
        trusted = "\n".join(
            f'[[trust.keys]]\nkid = "{key.kid}"\nrole = "{role}"\njwk = {_inline(key.public_jwk())}'
            for role, key in self.dispatch.keys.items()
        )
        exchange = self.exchange
        text = f"""
[site]
id = "{SITE}"
contract_max_mw = {self.share_w(shares.contract) / 1e6:.6f}
failsafe_mw = {self.share_w(shares.failsafe) / 1e6:.6f}
interval_s = {self._interval_s}
state_dir = "state"
[control]
{control}
[keys]
site = "site.jwk"
[mqtt]
url = "{self.broker.url}"
protocol = "{self.broker.protocol}"
[settlement]
url = "{exchange.url}"
keys = [{{ kid = "{exchange.kid}", jwk = {_inline(exchange.public_jwk)} }}]
[http]
listen = "127.0.0.1:{self.http_port}"
{trusted}
{self.plant.config_toml()}
{more}
"""
        self.config.write_text(text, encoding="utf-8")

    # --- the daemon ---

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    async def get(self, path: str) -> httpx2.Response:
        """What the daemon's local HTTP interface answers."""
        async with httpx2.AsyncClient(base_url=self.http_url, timeout=5.0, trust_env=False) as client:
            return await client.get(path)

    async def http_state(self) -> dict[str, Any]:
        """The `state` of this very moment."""
        state: dict[str, Any] = (await self.get("/api/v1/state")).json()
        return state

    async def send(self, *words: str, role: Role = Role.OPERATOR) -> Finished:
        """Run `quotawatt send`; answers are verified with the site's key."""
        return await run_quotawatt(
            *("send", *words, "--mqtt", self.broker.url, "--site", SITE),
            *("--key", str(self.folder / f"{role}.jwk")),
            *("--site-key", str(self.folder / "site.pub.jwk"), "--json"),
        )

    async def stored(self) -> list[StoredRecord]:
        """What a stopped daemon left in its state folder; chain and signatures hold."""
        store = await Store.open(self.folder / "state" / "site.db")
        try:
            ledger = await Ledger.open(
                store,
                site=SITE,
                key=self.key,
                fw="test",
                clock=self.dispatch.clock,
                interval_s=self._interval_s,
                points=[METER],
            )
            (state,) = ledger.epochs
            records = await ledger.records(state.epoch, 1, 100_000)
        finally:
            await store.close()
        verify_run(records, SITE, self.key.public())
        return records

    # --- the truth ---

    def now_s(self) -> float:
        """Unix seconds."""
        return self.dispatch.clock.wall()

    def history(self, from_s: float, to_s: float = float("inf")) -> list[Moment]:
        """The plant's true course."""
        return [moment for moment in self.plant.history if from_s <= moment.wall_s <= to_s]

    def was_true(self, shown_w: float) -> bool:
        """Whether the plant drew this a moment ago.

        What the meter shows, its poll, the cycle and the publisher take up to 3.5 s together.
        """
        course = [moment.true_power_w for moment in self.history(self.now_s() - 5)]
        return min(course) * (1 - METER_CLASS) <= shown_w <= max(course) * (1 + METER_CLASS)

    async def true_power(self, condition: Callable[[float], bool], within_s: float, steady_s: float) -> None:
        """Wait until the plant's true power has been so for `steady_s` without a break.

        Raises:
            TimeoutError: it never was; the course of the last seconds is in the message.
        """

        def steady() -> bool:
            course = self.history(self.now_s() - steady_s)
            return len(course) >= steady_s * 5 and all(condition(moment.true_power_w) for moment in course)

        started_s = self.now_s()
        try:
            await asyncio.sleep(steady_s)
            await until(steady, within_s)
        except TimeoutError:
            course = [round(moment.true_power_w) for moment in self.history(started_s)][::10]
            raise TimeoutError(f"the plant drew {course} W; the site says {self.dispatch.state}") from None

    async def true_power_at_most(self, limit_w: float, within_s: float, steady_s: float = 2.0) -> None:
        """Wait until the plant's true power is down to a limit."""
        allowed_w = limit_w * (1 + METER_CLASS)
        await self.true_power(lambda watts: watts <= allowed_w, within_s, steady_s)


def _inline(jwk: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f'{name} = "{value}"' for name, value in jwk.items()) + " }"
