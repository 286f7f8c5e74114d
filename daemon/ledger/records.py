"""The ledger's records: their members, their form, their bytes.

A *body* is a record without the members that the ledger itself adds (`v site epoch seq prev fw`); its
`kind` says which model it must fit. Energy in Wh, power in W, times as `YYYY-MM-DDTHH:MM:SSZ`.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal

import rfc8785
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
)

from daemon.errors import QuotawattError
from daemon.signing import MAX_INTEGER
from daemon.timestamps import format_utc, parse_utc

RECORD_TYP = "qw-rec+jws"
MAX_RECORD_BYTES = 64 * 1024
"""Longest JWS that is stored; many of them must fit into one delivery."""


class RecordError(QuotawattError):
    """A record that must not be signed: a mistake of whoever made its body."""


class TimeStatus(StrEnum):
    """How far the stamps of an interval can be believed."""

    TRUSTED = "S"
    HELD_OVER = "I"
    UNKNOWN = "U"


class GapReason(StrEnum):
    """Why an interval could not be measured."""

    DOWN = "down"
    """The daemon was not running for any of it, or it ended while it was not."""
    NO_METER = "no-meter"
    """No register reading at one of its ends."""
    NO_CLOCK = "no-clock"
    """The wall clock was stepped within it or past it."""
    PARTIAL = "partial"
    """Measured in part: the daemon started within it, or its record never reached the exchange."""


class Quality(IntEnum):
    """ESPI QualityOfReading."""

    VALIDATED = 17
    ESTIMATED = 8
    QUESTIONABLE = 10


class EpochReason(StrEnum):
    """Why an epoch was opened."""

    NEW = "new"
    STORAGE_LOSS = "storage-loss"
    FORK = "fork"
    RESTORE = "restore"
    INTERVAL_CHANGE = "interval-change"
    OPERATOR = "operator"


def _utc(text: str) -> str:
    parse_utc(text)
    return text


Utc = Annotated[str, AfterValidator(_utc)]
Int = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Natural = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Positive = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
Duration = Annotated[int, Field(ge=1, le=86_400)]
Hash = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Output(_Body):
    """What the site made of the energy: TH and GPU-seconds."""

    hashes_th: Natural | None
    gpu_s: Natural | None


class IntervalBody(_Body):
    """One metered interval; the last eight members are of the site meter alone."""

    kind: Literal["interval"]
    point: Id
    meter_sn: Annotated[str, Field(min_length=1)] | None
    start: Utc
    dur_s: Duration
    reg_start_wh: Natural | None
    reg_end_wh: Natural | None
    wh: Int
    max_w: Int | None
    samples: Natural
    coverage_s: Natural
    quality: Literal[8, 9, 10, 17]
    time_status: Literal["S", "I", "U"]
    limit_wh: Natural | None
    limit_ref: Hash | None
    floor_w: Natural | None
    over_s: Natural | None
    over_wh: Natural | None
    settle_s: Natural | None
    state_s: dict[Literal["init", "controlled", "limited", "failsafe"], Natural] | None
    output: Output | None


class GapBody(_Body):
    """One interval that was not measured whole; the last of a run carries the run's energy."""

    kind: Literal["gap"]
    point: Id
    start: Utc
    dur_s: Duration
    reason: Literal["down", "no-meter", "no-clock", "partial"]
    reg_start_wh: Natural | None
    reg_end_wh: Natural | None
    wh: Int | None


class EventBody(_Body):
    """Something that happened and matters to the settlement."""

    kind: Literal["event"]
    at: Utc
    what: Annotated[str, Field(min_length=1, max_length=64)]
    detail: dict[str, JsonValue]


class RecordRef(_Body):
    """Identity of a record of this site."""

    epoch: Positive
    seq: Positive


class CorrectionBody(_Body):
    """A signed difference to a record's energy."""

    kind: Literal["correction"]
    at: Utc
    ref: RecordRef
    wh: Int
    reason: Annotated[str, Field(min_length=1, max_length=200)]


class DayCloseBody(_Body):
    """Sum and root of a UTC day's `interval` and `gap` records."""

    kind: Literal["day_close"]
    day: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    count: Natural
    wh: Int
    root: Hash


class ChainHead(_Body):
    """Where a chain stood."""

    epoch: Positive
    seq: Positive
    head_hash: Hash


class EpochOpenBody(_Body):
    """First record of an epoch."""

    kind: Literal["epoch_open"]
    at: Utc
    reason: Literal["new", "storage-loss", "fork", "restore", "interval-change", "operator"]
    interval_s: Duration
    points: Annotated[list[Id], Field(min_length=1)]
    before: ChainHead | None


Body = IntervalBody | GapBody | EventBody | CorrectionBody | DayCloseBody | EpochOpenBody
_BODY: TypeAdapter[Body] = TypeAdapter(Annotated[Body, Field(discriminator="kind")])

COMMON = ("v", "site", "epoch", "seq", "prev", "fw")
"""Members that the ledger adds to a body."""


def check_body(body: Mapping[str, Any]) -> Body:
    """The body as its model.

    Raises:
        RecordError: a member is missing, foreign or out of form.
    """
    try:
        return _BODY.validate_python(dict(body))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(f"a record must not be signed: {where}: {first['msg']}") from error


def record_bytes(
    body: Mapping[str, Any], *, site: str, epoch: int, seq: int, prev: str | None, fw: str
) -> bytes:
    """The RFC 8785 bytes of a whole record: what is signed, hashed and stored.

    Raises:
        RecordError: the body does not fit its kind, or `seq` 1 and `epoch_open` do not go together.
    """
    check_body(body)
    if (seq == 1) != (body["kind"] == "epoch_open"):
        raise RecordError("seq 1 and epoch_open go together, and only they")
    try:
        return rfc8785.dumps(
            {**body, "v": 1, "site": site, "epoch": epoch, "seq": seq, "prev": prev, "fw": fw}
        )
    except rfc8785.CanonicalizationError as error:
        raise RecordError(f"a record must not be signed: {error}") from error


def event(at_s: float, what: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """Body of an `event` that happened at `at_s`, Unix seconds."""
    return {"kind": "event", "at": format_utc(at_s), "what": what, "detail": dict(detail)}


def storage_loss(at_s: float, epoch: int, seq: int, head_hash: str | None) -> dict[str, Any]:
    """Body of the event that tells of a record of this site that its own store no longer holds."""
    return event(at_s, "storage-loss", {"epoch": epoch, "seq": seq, "head_hash": head_hash})


def correction(at_s: float, epoch: int, seq: int, wh: int, reason: str) -> dict[str, Any]:
    """Body of a signed difference of `wh` to the energy of a record; it counts in the day of `at_s`."""
    ref = {"epoch": epoch, "seq": seq}
    return {"kind": "correction", "at": format_utc(at_s), "ref": ref, "wh": wh, "reason": reason}


def gap(
    point: str,
    start_s: int,
    dur_s: int,
    reason: GapReason,
    *,
    registers_wh: tuple[int, int] | None = None,
    wh: int | None = None,
) -> dict[str, Any]:
    """Body of a `gap`; without registers it is not the last of its run, or the point has none."""
    first, last = registers_wh if registers_wh is not None else (None, None)
    return {
        "kind": "gap",
        "point": point,
        "start": format_utc(start_s),
        "dur_s": dur_s,
        "reason": reason.value,
        "reg_start_wh": first,
        "reg_end_wh": last,
        "wh": wh,
    }
