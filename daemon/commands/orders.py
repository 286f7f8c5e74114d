"""What trusted keys have ordered, as the site keeps it. Times are Unix seconds, powers W."""

from dataclasses import dataclass
from typing import NamedTuple


class ScheduleEntry(NamedTuple):
    """A limit for the half-open time [start, end)."""

    start: int
    end: int
    limit_w: int | None
    """`None` = released to the contract maximum; 0 = everything sheddable off."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A schedule of limits. A time that no entry covers has the failsafe limit."""

    rev: int
    entries: tuple[ScheduleEntry, ...]
    exp: int
    """From here on leases for it no longer count; its limits hold until their `end`."""
    kid: str
    jws: str
    hash: str


@dataclass(frozen=True, slots=True)
class Lease:
    """A heartbeat that counted, with the moment at which it arrived."""

    rev: int
    iat: int
    exp: int
    boot_id: str
    boottime_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Hold:
    """An operator's limit over everything else."""

    limit_w: int
    reason: str
    until: int | None


@dataclass(frozen=True, slots=True)
class OperatorLimit:
    """A limit by `set_limit`."""

    limit_w: int
    until: int | None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A device that is not written to for now."""

    reason: str
    until: int | None
