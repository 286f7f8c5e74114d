"""The payloads of signed messages as strict models: a misspelt member never makes a limit permanent."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from daemon.commands.orders import Quota, ScheduleEntry
from daemon.commands.words import Op
from daemon.signing import Envelope, loads
from daemon.timestamps import parse_utc

MAX_ENTRIES = 600
MAX_LIFE_S = 300
"""Longest life of a command or a lease."""

UUID_FORM = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def _utc(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("a time is a string of the form YYYY-MM-DDTHH:MM:SSZ")  # noqa: TRY004  pydantic's error
    return parse_utc(value)


Jti = Annotated[str, Field(pattern=UUID_FORM)]
UtcText = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
"""A moment as it is written on the wire."""
UtcSeconds = Annotated[int, BeforeValidator(_utc, json_schema_input_type=UtcText)]
Watts = Annotated[int, Field(ge=0)]
Why = Annotated[str, Field(min_length=1, max_length=200)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Common(_Strict):
    """What quota, lease and command have in common."""

    iss: str
    aud: str
    jti: Jti
    seq: Annotated[int, Field(ge=0)]
    """Unix microseconds at signing."""
    iat: Annotated[int, Field(ge=0)]
    exp: int


class QuotaClaims(Common):
    """A quota; its schedule is read by `schedule_of`."""

    rev: int
    schedule: list[Any]


class LeaseClaims(Common):
    """A heartbeat for the quota `rev`."""

    rev: int


class CommandClaims(Common):
    """A command; its arguments are read by `arguments_of`."""

    op: str
    args: dict[str, Any]
    expect_rev: int | None = None


class Entry(_Strict):
    """A limit for [start, end); `null` = released to the contract maximum."""

    start: UtcSeconds
    end: UtcSeconds
    limit_w: Watts | None


class NoArgs(_Strict):
    """`{}`."""


class SetLimitArgs(_Strict):
    """`None` removes the limit."""

    limit_w: Watts | None
    until: UtcSeconds | None = None


class HoldArgs(_Strict):
    """An operator's limit over everything else."""

    limit_w: Watts
    reason: Why
    until: UtcSeconds | None = None


class ExcludeArgs(_Strict):
    """A device not to be written to."""

    device: Identifier
    reason: Why
    until: UtcSeconds | None = None


class DeviceArgs(_Strict):
    """A device."""

    device: Identifier


class PlanArgs(_Strict):
    """What if?"""

    limit_w: Watts


Arguments = NoArgs | SetLimitArgs | HoldArgs | ExcludeArgs | DeviceArgs | PlanArgs

ARGUMENTS: dict[Op, type[Arguments]] = {
    Op.PING: NoArgs,
    Op.SET_LIMIT: SetLimitArgs,
    Op.HOLD: HoldArgs,
    Op.RELEASE_HOLD: NoArgs,
    Op.EXCLUDE: ExcludeArgs,
    Op.INCLUDE: DeviceArgs,
    Op.RESTART: DeviceArgs,
    Op.PLAN: PlanArgs,
    Op.FLUSH: NoArgs,
    Op.RELOAD: NoArgs,
}


def arguments_of(op: Op, args: Mapping[str, Any]) -> Arguments:
    """The arguments of a command.

    Raises:
        ValueError: what is wrong with them.
    """
    try:
        return ARGUMENTS[op].model_validate(args)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error


def schedule_of(raw: list[Any]) -> tuple[ScheduleEntry, ...]:
    """The entries of a quota, in order and without overlap.

    Raises:
        ValueError: what is wrong with them.
    """
    if not 1 <= len(raw) <= MAX_ENTRIES:
        raise ValueError(f"schedule: {len(raw)} entries; 1-{MAX_ENTRIES} would be right")
    entries: list[ScheduleEntry] = []
    for index, item in enumerate(raw):
        try:
            entry = Entry.model_validate(item)
        except ValidationError as error:
            raise ValueError(f"schedule[{index}].{first_problem(error)}") from error
        if entry.start >= entry.end:
            raise ValueError(f"schedule[{index}]: start is not before end")
        if entries and entry.start < entries[-1].end:
            raise ValueError(f"schedule[{index}]: starts before the previous one ends")
        entries.append(ScheduleEntry(entry.start, entry.end, entry.limit_w))
    return tuple(entries)


def quota_of(envelope: Envelope) -> Quota:
    """The quota in an envelope that was accepted once.

    Raises:
        ValueError: it is not one.
    """
    claims = QuotaClaims.model_validate(loads(envelope.payload))
    return Quota(
        rev=claims.rev,
        entries=schedule_of(claims.schedule),
        exp=claims.exp,
        kid=envelope.header.kid,
        jws=envelope.text.decode("ascii"),
        hash=envelope.hash,
    )


def first_problem(error: ValidationError) -> str:
    """One line about the first thing that is wrong, without echoing the sender's text."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part)[:64] for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])
