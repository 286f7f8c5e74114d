"""Commands that were accepted and are done when the site shows it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from daemon.commands.answers import Outcome
from daemon.commands.claims import CommandClaims, DeviceArgs, HoldArgs, SetLimitArgs, arguments_of
from daemon.commands.journal import Unfinished
from daemon.commands.kept import Kept
from daemon.commands.site import Site
from daemon.commands.words import Op
from daemon.signing import loads

PATIENCE_S = 300
RESTART_PATIENCE_S = 900
FLUSH_PATIENCE_S = 60
RELOAD_PATIENCE_S = 60
_MAX_DETAIL = 1000
"""Characters of what is wrong with a configuration; the log has all of it."""


@dataclass(frozen=True, slots=True)
class PowerDown:
    """The metered power is down to this."""

    limit_w: int


@dataclass(frozen=True, slots=True)
class SeenAgain:
    """A device that is being restarted has gone and come back."""

    device: str


@dataclass(frozen=True, slots=True)
class Flushed:
    """Everything that waited is on the disk, and its upload is asked for."""

    job: str


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The configuration has been read anew, and is gone by."""

    job: str


Awaited = PowerDown | SeenAgain | Flushed | Reloaded
"""What a command waits for."""


def patience_s(awaited: Awaited) -> int:
    """How long it is waited for."""
    match awaited:
        case PowerDown():
            return PATIENCE_S
        case SeenAgain():
            return RESTART_PATIENCE_S
        case Flushed():
            return FLUSH_PATIENCE_S
        case Reloaded():
            return RELOAD_PATIENCE_S


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that waits until `deadline_s` of the monotonic clock."""

    kid: str
    jti: str
    op: Op
    awaited: Awaited
    deadline_s: float
    replaced: bool = False
    lost: bool = False
    """The daemon was started again meanwhile, and what it saw until then is gone."""

    def outcome(self, site: Site, monotonic_s: float) -> Outcome | None:
        """How it ended, or `None` while it has not. An unknown power is no power that came down."""
        if self.replaced:
            return Outcome.failed("replaced before the power was down to it")
        if self.lost:
            return self._lost()
        ended = self._ended(site)
        if ended is not None or monotonic_s < self.deadline_s:
            return ended
        return Outcome.failed(self._not_seen(site))

    def _ended(self, site: Site) -> Outcome | None:
        match self.awaited:
            case PowerDown(limit_w):
                power_w = site.power_w()
                done = power_w is not None and power_w <= limit_w
            case SeenAgain(device):
                done = site.seen_again(device)
            case Flushed(job):
                done = site.flushed(job)
            case Reloaded(job):
                problems = site.reloaded(job)
                if problems:
                    return Outcome.failed("; ".join(problems)[:_MAX_DETAIL])
                done = problems is not None
        return Outcome.done() if done else None

    def _not_seen(self, site: Site) -> str:
        match self.awaited:
            case PowerDown():
                power_w = site.power_w()
                shown = "unknown" if power_w is None else f"{power_w:.0f} W"
                return f"after {PATIENCE_S} s the metered power is {shown}; it stays in force"
            case SeenAgain():
                return f"not seen to go and come back within {RESTART_PATIENCE_S} s"
            case Flushed():
                return f"not everything is on the disk after {FLUSH_PATIENCE_S} s"
            case Reloaded():
                return f"the configuration has not been read after {RELOAD_PATIENCE_S} s"

    def _lost(self) -> Outcome:
        if isinstance(self.awaited, Reloaded):
            # A start reads the whole configuration, and there is none without one that is right.
            return Outcome.done()
        return Outcome.failed("the controller was started again before the device was seen again")

    def after(self, op: Op) -> "Waiting":
        """Once a command of this kind has been taken."""
        same = op is self.op or (op is Op.RELEASE_HOLD and self.op is Op.HOLD)
        return replace(self, replaced=True) if same and isinstance(self.awaited, PowerDown) else self


def resumed(unfinished: Iterable[Unfinished], kept: Kept, now_s: float, monotonic_s: float) -> list[Waiting]:
    """What the commands that were accepted before a restart, oldest first, still wait for.

    A limit stands, so the meter goes on being watched. A flush is run again: that does no harm. A device is
    not restarted a second time: that it is not known how it went is what is answered. A start has read the
    configuration.
    """
    waiting: list[Waiting] = []
    for command in unfinished:
        entry = _resumed(command, now_s, monotonic_s)
        if entry is not None:
            waiting = [*(earlier.after(entry.op) for earlier in waiting), entry]
    stands = {Op.HOLD: kept.hold is not None, Op.SET_LIMIT: kept.set_limit is not None}
    return [entry if stands.get(entry.op, True) else entry.after(entry.op) for entry in waiting]


def _resumed(command: Unfinished, now_s: float, monotonic_s: float) -> Waiting | None:
    claims = CommandClaims.model_validate(loads(command.envelope.payload))
    op = Op(claims.op)
    arguments = arguments_of(op, claims.args)
    awaited: Awaited
    match arguments:
        case HoldArgs(limit_w=limit_w) | SetLimitArgs(limit_w=limit_w) if limit_w is not None:
            awaited = PowerDown(limit_w)
        case DeviceArgs(device=device) if op is Op.RESTART:
            awaited = SeenAgain(device)
        case _ if op is Op.FLUSH:
            awaited = Flushed(command.jti)
        case _ if op is Op.RELOAD:
            awaited = Reloaded(command.jti)
        case _:
            return None
    patience = patience_s(awaited)
    left_s = min(max(command.accepted_s + patience - now_s, 0.0), patience)
    lost = isinstance(awaited, SeenAgain | Reloaded)
    return Waiting(command.kid, command.jti, op, awaited, monotonic_s + left_s, lost=lost)
