"""Commands that were accepted and are done when the metered power has come down."""

from dataclasses import dataclass, replace

from daemon.commands.answers import Outcome
from daemon.commands.claims import CommandClaims, HoldArgs, SetLimitArgs, arguments_of
from daemon.commands.journal import Unfinished
from daemon.commands.words import Op
from daemon.signing import loads

PATIENCE_S = 300


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that waits for the meter until `deadline_s` of the monotonic clock."""

    kid: str
    jti: str
    op: Op
    limit_w: int
    deadline_s: float
    replaced: bool = False

    def outcome(self, power_w: float | None, monotonic_s: float) -> Outcome | None:
        """How it ended, or `None` while it has not. An unknown power is no power that came down."""
        if self.replaced:
            return Outcome.failed("replaced before the power was down to it")
        if power_w is not None and power_w <= self.limit_w:
            return Outcome.done()
        if monotonic_s >= self.deadline_s:
            shown = "unknown" if power_w is None else f"{power_w:.0f} W"
            return Outcome.failed(f"after {PATIENCE_S} s the metered power is {shown}; it stays in force")
        return None

    def after(self, op: Op) -> "Waiting":
        """Once a command of this kind has been taken."""
        same = op is self.op or (op is Op.RELEASE_HOLD and self.op is Op.HOLD)
        return replace(self, replaced=True) if same else self


def resumed(command: Unfinished, now_s: float, monotonic_s: float) -> Waiting | None:
    """What a command that was accepted before a restart still waits for."""
    claims = CommandClaims.model_validate(loads(command.envelope.payload))
    op = Op(claims.op)
    arguments = arguments_of(op, claims.args)
    if not isinstance(arguments, HoldArgs | SetLimitArgs) or arguments.limit_w is None:
        return None
    left_s = min(max(command.accepted_s + PATIENCE_S - now_s, 0.0), PATIENCE_S)
    return Waiting(command.kid, command.jti, op, arguments.limit_w, monotonic_s + left_s)
