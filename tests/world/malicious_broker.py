"""`python -m tests.world.malicious_broker`: the whole daemon, in virtual time, in the hands of its broker.

The broker has every document that was ever signed. It loses, delays, repeats, reorders, retains and bends
them, keeps some until newer ones have come or their time is over, brings a capture of last year, swaps
topics, forges in every name, cuts the connection; the daemon is stopped and killed in between. A seed
replays it all.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import structlog

from daemon.commands.orders import ScheduleEntry
from daemon.commands.sender import Sender, Signed
from daemon.commands.words import Lane
from daemon.config import Config, load_config
from daemon.cycle.policy import control_policy
from daemon.cycle.result import CycleResult
from daemon.mqtt.topics import Topics
from daemon.signing import PrivateKey, dumps, loads, parse, sign
from daemon.timestamps import parse_utc
from tests.world.loop import VirtualLoop, run_virtual
from tests.world.signed_orders_oracle import Document, Terms, most_w
from tests.world.virtual_site import SITE, SeededEntropy, VirtualSite

YEAR_S = 365 * 86_400
STRATEGIES = {
    Lane.QUOTA: (0.0, 0.0, 30.0, 600.0),
    Lane.LEASE: (0.0, 0.0, 0.0, 9.0, 60.0, 115.0),
    Lane.DISPATCHER: (0.0,),
    Lane.OPERATOR: (0.0, 0.0, 100.0),
}
"""How long a broker keeps what it does not lose: one holds back quotas, another every heartbeat."""
LANES = (Lane.QUOTA, Lane.LEASE, Lane.DISPATCHER, Lane.OPERATOR)
SKEW_S = 10
"""By so much may the sender's clock and the site's differ."""
SECOND_DISPATCHER = PrivateKey.from_seed(b"e" * 32)


class TurnedError(Exception):
    """The broker got what it must not get."""


@dataclass
class Outcome:
    """What a run came to."""

    seconds: int = 0
    at_most: int = 0
    """Seconds in which the limit was as high as it may be, and above the failsafe limit."""
    above_failsafe: int = 0
    messages: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)


@dataclass
class _Then:
    """A clock that shows another time."""

    clock: Any
    ago_s: float

    def wall(self) -> float:
        return float(self.clock.wall()) - self.ago_s


class Signers:
    """Two dispatchers and an operator who go about their work, and keep what they signed."""

    def __init__(self, site: VirtualSite, rng: Random, *, ago_s: float = 0.0, first_rev: int = 0) -> None:
        self._clock = site.clock if not ago_s else _Then(site.clock, ago_s)
        entropy = SeededEntropy(rng.getrandbits(32))
        keys = (site.dispatcher.key, SECOND_DISPATCHER)
        self._dispatchers = [Sender(key, SITE, self._clock, entropy) for key in keys]  # type: ignore[arg-type]  # only its wall
        self._operator = Sender(site.dispatcher.operator, SITE, self._clock, entropy)  # type: ignore[arg-type]  # likewise
        self._site, self._rng = site, rng
        self.rev = first_rev
        self.signed: list[tuple[Signed, Document]] = []

    def _keep(self, kind: str, message: Signed, **more: Any) -> Signed:
        claims = loads(parse(message.jws.encode()).payload)
        self.signed.append((message, Document(kind, claims, **more)))
        return message

    def quota(self) -> Signed:
        rng, now_s = self._rng, int(self._clock.wall())
        self.rev += rng.choice((1, 1, 1, 7))
        entries, start = [], now_s - rng.randrange(60)
        for _ in range(rng.randrange(1, 6)):
            end = start + rng.randrange(60, 900)
            limit_w = rng.choice((None, 0, *(rng.randrange(self._site.contract_w) for _ in range(4))))
            entries.append(ScheduleEntry(start, end, limit_w))
            start = end + rng.choice((0, 0, 0, 120))
        exp = entries[-1].end if entries[-1].end > now_s else None
        if exp is None:
            entries.append(ScheduleEntry(start, now_s + 600, None))
        exp = now_s + 90 if entries[-1].end > now_s + 90 and rng.random() < 0.2 else None
        message = rng.choice(self._dispatchers).quota(self.rev, entries, exp=exp)
        return self._keep("quota", message, schedule=[tuple(entry) for entry in entries])

    def lease(self) -> Signed:
        sender = self._rng.choice(self._dispatchers)
        return self._keep("lease", sender.lease(self.rev, life_s=self._rng.choice((60, 300))))

    def command(self) -> Signed:
        rng = self._rng
        limit_w = rng.randrange(self._site.contract_w)
        until = None if rng.random() < 0.5 else int(self._clock.wall()) + rng.randrange(60, 900)
        more: dict[str, Any] = {"limit_w": limit_w}
        op, args = rng.choice(
            (
                ("hold", {"limit_w": limit_w, "reason": "crane"}),
                ("set_limit", {"limit_w": limit_w}),
                ("release_hold", {}),
                ("set_limit", {"limit_w": None}),
                ("ping", {}),
            )
        )
        kind = "unset_limit" if args == {"limit_w": None} else op
        if kind in {"hold", "set_limit"} and until is not None:
            args = {**args, "until": _utc(until)}
            more["until"] = until
        message = self._operator.command(op, args, lane=Lane.OPERATOR, life_s=rng.choice((60, 300)))
        return self._keep(kind, message, **more)


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class MaliciousBroker:
    """Does with the documents what it likes; whatever the daemon hears comes through `deliver`."""

    def __init__(self, site: VirtualSite, rng: Random) -> None:
        self._site, self._rng, self._topics = site, rng, Topics(SITE)
        self.capture: list[Signed] = []
        """Everything ever seen, last year's too."""
        self.delivered = 0
        self._late_s = {lane: rng.choice(STRATEGIES[lane]) for lane in LANES}
        self._held_back: list[Signed] = []
        """Nobody has seen them; they come when they are of use to nobody but the broker."""

    def deliver(self, lane: Lane, payload: bytes, *, retained: bool = False) -> None:
        link = self._site.link
        if link is not None and self._site.daemon is not None:
            self.delivered += 1
            link.bus.deliver(self._topics.lane(lane), payload, retained=retained)

    def took(self, message: Signed) -> None:
        """Somebody published a document."""
        self.capture.append(message)
        rng, payload = self._rng, message.jws.encode()
        fate = rng.random()
        if fate < 0.15:
            return
        if fate < 0.27 and message.lane is not Lane.LEASE:
            self._held_back.append(message)
            return
        late_s = self._late_s[message.lane]
        delays_s = [late_s] if fate < 0.75 else [rng.expovariate(1 / 60) for _ in range(rng.randrange(1, 4))]
        retained = message.lane is Lane.QUOTA or rng.random() < 0.05
        for delay_s in delays_s:
            asyncio.get_running_loop().call_later(delay_s, self._later, message.lane, payload, retained)

    def _later(self, lane: Lane, payload: bytes, retained: bool) -> None:  # noqa: FBT001  a call_later
        self.deliver(lane, payload, retained=retained)

    def _bring_late(self) -> None:
        """What was held back comes first-hand: after newer ones, just after its time, or long after."""
        rng, now_s = self._rng, self._site.clock.wall()
        for message in list(self._held_back):
            just_over = SKEW_S < now_s - message.exp < SKEW_S + 90
            if rng.random() < (0.2 if just_over else 0.01):
                self._held_back.remove(message)
                self.deliver(message.lane, message.jws.encode(), retained=message.lane is Lane.QUOTA)

    def mischief(self) -> None:
        """Something that no honest broker does."""
        rng = self._rng
        self._bring_late()
        if not self.capture:
            return
        for _ in range(rng.choice((0, 0, 1, 2, 20))):
            message = rng.choice(self.capture[-30:] if rng.random() < 0.5 else self.capture)
            payload = message.jws.encode()
            lane = message.lane if rng.random() < 0.7 else rng.choice(LANES)
            match rng.randrange(6):
                case 0:
                    payload = self._bent(payload)
                case 1 | 2:
                    payload = self._forged(payload)
                case 3:
                    payload = self._spliced(payload)
                case _:
                    pass  # an old one, as it was
            self.deliver(lane, payload, retained=rng.random() < 0.3)

    def _bent(self, payload: bytes) -> bytes:
        text = bytearray(payload)
        text[self._rng.randrange(len(text))] ^= 1 << self._rng.randrange(8)
        return bytes(text)

    def _forged(self, payload: bytes) -> bytes:
        """What the owner of a key would write to raise the limit, in the right name and by another key."""
        rng, claims = self._rng, loads(parse(payload).payload)
        now_s = int(self._site.clock.wall())
        claims |= {"iat": now_s, "exp": now_s + 60, "seq": now_s * 1_000_000 + rng.randrange(10**6)}
        claims["jti"] = f"{rng.getrandbits(32):08x}-0000-4000-8000-000000000000"
        if "schedule" in claims:
            entry = {"start": _utc(now_s - 60), "end": _utc(now_s + 6_000), "limit_w": None}
            claims |= {"rev": claims["rev"] + rng.randrange(20), "schedule": [entry], "exp": now_s + 6_000}
        elif "rev" in claims:
            claims["rev"] += rng.randrange(3)
        else:
            claims |= {"op": "release_hold", "args": {}}
        return sign(dumps(claims), parse(payload).header.typ, self._forger_as(claims["iss"])).encode()

    def _forger_as(self, kid: str) -> PrivateKey:
        return PrivateKey.from_seed(b"f" * 32, kid)

    def _spliced(self, payload: bytes) -> bytes:
        other = self._rng.choice(self.capture).jws.encode()
        header, claims, _ = payload.split(b".")
        return header + b"." + claims + b"." + other.rpartition(b".")[2]

    def forge_the_site(self) -> None:
        """Speak in the site's name."""
        topic = self._rng.choice((self._topics.state, self._topics.event, self._topics.telemetry))
        link = self._site.link
        if link is not None:
            body = b'{"online":false,"limit_w":99999999,"quota_rev":999}'
            link.bus.deliver(topic, body, retained=True)


class _Site(VirtualSite):
    """Trusts a second dispatcher, whose `seq` knows nothing of the first one's."""

    def _configured(self) -> Config:
        config = super()._configured()
        jwk = ", ".join(f'{name} = "{value}"' for name, value in SECOND_DISPATCHER.public_jwk().items())
        entry = f'[[trust.keys]]\nkid = "{SECOND_DISPATCHER.kid}"\nrole = "dispatcher"\njwk = {{ {jwk} }}\n'
        config.path.write_text(f"{config.path.read_text(encoding='utf-8')}\n{entry}", encoding="utf-8")
        return load_config(config.path)


async def play(loop: VirtualLoop, folder: Path, seed: int, minutes: float) -> Outcome:
    """A site's time with such a broker.

    Raises:
        TurnedError: the limit was too high, or an order was executed twice.
    """
    rng, outcome = Random(seed), Outcome()
    site = _Site(loop, folder, miners=2, racks=0, seed=seed, period_s=10.0, step_s=5.0)
    site.dispatcher.leasing = False
    async with site:
        await _Game(site, rng, outcome).play(minutes)
    return outcome


class _Game:
    def __init__(self, site: VirtualSite, rng: Random, outcome: Outcome) -> None:
        self._site, self._rng, self._outcome = site, rng, outcome
        self._broker = MaliciousBroker(site, rng)
        policy = control_policy(site.config).authority
        self._terms = Terms(
            contract_w=policy.contract_max_w,
            failsafe_w=policy.failsafe_w,
            lease_s=policy.lease_timeout_s,
            offset_s=policy.failsafe_offset_s,
            ramp_s=policy.failsafe_ramp_s,
        )
        self._signers = Signers(site, rng)
        self._by_jti: dict[str, Document] = {}
        self._untrusted: list[float] = []
        """Moments at which the site's clock had not been shown to be right."""
        self._problem: str | None = None

    async def play(self, minutes: float) -> None:
        site, rng, signers = self._site, self._rng, self._signers
        old = Signers(site, rng, ago_s=YEAR_S, first_rev=rng.choice((0, 0, 500)))
        self._broker.capture += [rng.choice((old.quota, old.lease, old.command))() for _ in range(60)]
        # As a rule revisions go on rising from year to year; a site that has lost its memory starts below.
        signers.rev = rng.choice((0, old.rev, old.rev, old.rev))
        self._by_jti |= {message.jti: document for message, document in old.signed}
        await self._start()
        next_lease_s = 0.0
        for second in range(int(minutes * 60)):
            if rng.random() < 1 / 200 or second == 5:
                self._publish(signers.quota())
            if second >= next_lease_s and signers.rev:
                self._publish(signers.lease())
                # Now and then the dispatcher is silent for long.
                next_lease_s = second + (10 if rng.random() < 0.97 else rng.randrange(60, 600))
            if rng.random() < 1 / 120:
                self._publish(signers.command())
            if rng.random() < 0.3:
                self._broker.mischief()
            if rng.random() < 0.02:
                self._broker.forge_the_site()
            if rng.random() < 1 / 900:
                await self._interrupted()
            await site.run(1.0)
            self._hear()
        await site.stop()
        await self._count_executions()
        self._outcome.messages = self._broker.delivered

    def _publish(self, message: Signed) -> None:
        document = self._signers.signed[-1][1]
        self._by_jti[message.jti] = document
        self._broker.took(message)

    async def _start(self) -> None:
        await self._site.start()
        assert self._site.daemon is not None
        self._site.daemon._loop.on_result.append(self._judge)

    async def _interrupted(self) -> None:
        match self._rng.randrange(3):
            case 0:
                await self._site.stop()
            case 1:
                await self._site.kill()
            case _:
                assert self._site.link is not None
                self._site.link.cut()
                await self._site.run(self._rng.choice((1.0, 30.0, 200.0)))
                self._site.link.mend()
                return
        await asyncio.sleep(self._rng.choice((1.0, 20.0, 200.0)))
        await self._start()

    def _judge(self, result: CycleResult) -> None:
        now_s = result.moment.wall_s
        self._hear()
        documents = [document for _, document in self._signers.signed]
        most, limit_w = most_w(documents, now_s, self._terms), result.verdict.limit_w
        self._outcome.seconds += 1
        if not result.verdict.authority.clock.trusted:
            self._untrusted.append(now_s)
        self._outcome.above_failsafe += limit_w > self._terms.failsafe_w
        self._outcome.at_most += self._terms.failsafe_w < limit_w == int(most)
        if limit_w > most + 1:
            raise TurnedError(
                f"at {now_s:.1f} {limit_w} W are in force ({result.verdict.source}); at most {most}"
            )

    def _hear(self) -> None:
        """What the site has answered: from then on it has it."""
        heard, self._site.dispatcher.answers[:] = list(self._site.dispatcher.answers), []
        for claims in heard:
            self._outcome.answers[claims["status"]] += 1
            document = self._by_jti.get(claims["jti"])
            if claims["status"] == "accepted" and document is not None and document.taken_s is None:
                document.taken_s = self._site.clock.wall()
        for event in self._site.dispatcher.events:
            if event["type"] == "refused":
                self._outcome.refusals[event["reason"]] += 1
        self._site.dispatcher.events.clear()

    def _judge_time(self, jti: str, at_s: int) -> None:
        """Nothing is executed outside of its time, unless it can only lower and the clock is doubtful."""
        document = self._by_jti.get(jti)
        if document is None:
            raise TurnedError(f"nobody signed {jti}")
        iat, exp = document.claims["iat"], document.claims["exp"]
        if iat - SKEW_S <= at_s + 1 and at_s <= exp + SKEW_S:
            return
        doubtful = any(at_s - 2 <= moment_s <= at_s + 2 for moment_s in self._untrusted)
        if not doubtful or document.kind in {"release_hold", "unset_limit"}:
            raise TurnedError(f"executed {at_s - exp} s after its time: {document}")

    async def _count_executions(self) -> None:
        store = await self._site._open_store(self._site.config)
        try:
            rows = await store.fetch_all("SELECT jws FROM records")
        finally:
            await store.close()
        executed: Counter[str] = Counter()
        revs: list[int] = []
        for (jws,) in rows:
            record = loads(parse(str(jws).encode()).payload)
            if record["kind"] == "event" and record["what"] in {"command", "quota"}:
                executed[record["detail"]["jti"]] += 1
                self._judge_time(record["detail"]["jti"], parse_utc(record["at"]))
                if record["what"] == "quota":
                    revs.append(record["detail"]["rev"])
        if revs != sorted(set(revs)):
            raise TurnedError(f"quotas were held in the order of these revisions: {revs}")
        twice = [jti for jti, times in executed.items() if times > 1]
        if twice:
            raise TurnedError(f"executed twice: {twice}")


@contextmanager
def quiet() -> Iterator[None]:
    """Without the daemon's log."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


def run(seed: int, minutes: float) -> Outcome:
    """One seed.

    Raises:
        TurnedError: see `play`; the seed is in the message.
    """
    with tempfile.TemporaryDirectory() as folder, quiet():
        try:
            return run_virtual(lambda loop: play(loop, Path(folder), seed, minutes))
        except* TurnedError as errors:
            problem = errors.exceptions[0]
            while isinstance(problem, ExceptionGroup):
                problem = problem.exceptions[0]
            raise TurnedError(f"seed {seed}: {problem}") from problem


def main() -> int:
    """Many seeds."""
    parser = argparse.ArgumentParser(description="Put the daemon in the hands of its broker.")
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--from", type=int, default=1, dest="first")
    parser.add_argument("--minutes", type=float, default=20)
    options = parser.parse_args()
    say, total = sys.stdout.write, Outcome()
    for seed in range(options.first, options.first + options.seeds):
        try:
            one = run(seed, options.minutes)
        except TurnedError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        for name in ("seconds", "at_most", "above_failsafe", "messages"):
            setattr(total, name, getattr(total, name) + getattr(one, name))
        total.answers += one.answers
        total.refusals += one.refusals
        if seed % 20 == 0:
            say(f"{seed}: {total}; {time.process_time():.0f} s of CPU\n")
            sys.stdout.flush()
    say(
        f"{options.seeds} seeds of {options.minutes:g} minutes: {total}; {time.process_time():.0f} s of CPU\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
