"""The records of the interval ledger, as the contract gives them: every member, no other, integers."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import rfc8785
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from sim_devices.exchange.encoding import (
    ID_FORM,
    KID_FORM,
    MAX_INTEGER,
    FormError,
    check_day,
    check_utc,
    decode_base64url,
    parse_json_object,
)
from sim_devices.exchange.envelopes import Envelope, public_key_of

RECORD_TYPE = "qw-rec+jws"
SECONDS_PER_DAY = 86_400


class Position(NamedTuple):
    """Where a record stands in its site's ledger."""

    epoch: int
    seq: int


def _sha256_text(text: str) -> str:
    if len(decode_base64url(text)) != 32:
        raise FormError("not the hash of something")
    return text


def _shown(pattern: str) -> WithJsonSchema:
    """How a text looks in a JSON Schema, whose patterns are ECMAScript's."""
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Positive = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
Integer = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Identifier = Annotated[str, StringConstraints(pattern=rf"\A(?:{ID_FORM})\z"), _shown(ID_FORM)]
KeyId = Annotated[str, StringConstraints(pattern=rf"\A(?:{KID_FORM})\z"), _shown(KID_FORM)]
Text = Annotated[str, StringConstraints(min_length=1)]
Moment = Annotated[str, AfterValidator(check_utc), _shown(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")]
Day = Annotated[str, AfterValidator(check_day), _shown(r"\d{4}-\d{2}-\d{2}")]
Hash = Annotated[str, AfterValidator(_sha256_text), _shown("[A-Za-z0-9_-]{43}")]


class _Part(BaseModel):
    """Strict, frozen, complete: a member too many or too few is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Record(_Part):
    """What every record has."""

    v: Literal[1]
    site: Identifier
    epoch: Positive
    seq: Positive
    prev: Hash | None
    fw: Text

    @property
    def position(self) -> Position:
        """Where the record stands."""
        return Position(self.epoch, self.seq)


class Output(_Part):
    """What the site's loads produced in an interval; `None` where no load of the kind reported."""

    hashes_th: Count | None
    gpu_s: Count | None


class Interval(_Record):
    """Metered energy of one point over one interval."""

    kind: Literal["interval"]
    point: Identifier
    meter_sn: Text | None
    start: Moment
    dur_s: Positive
    reg_start_wh: Count | None
    reg_end_wh: Count | None
    wh: Integer
    max_w: Integer | None
    samples: Count
    coverage_s: Count
    quality: Literal[8, 9, 10, 17]
    time_status: Literal["S", "I", "U"]
    limit_wh: Count | None
    limit_ref: Hash | None
    floor_w: Count | None
    over_s: Count | None
    over_wh: Count | None
    settle_s: Count | None
    state_s: dict[Literal["init", "controlled", "limited", "failsafe"], Count] | None
    output: Output | None

    @property
    def is_plain(self) -> bool:
        """Whether the members that only the site meter's interval has are `null`."""
        site_only = (
            self.limit_wh,
            self.limit_ref,
            self.floor_w,
            self.over_s,
            self.over_wh,
            self.settle_s,
            self.state_s,
            self.output,
        )
        return all(member is None for member in site_only)


class Gap(_Record):
    """An interval without an own measurement of one point."""

    kind: Literal["gap"]
    point: Identifier
    start: Moment
    dur_s: Positive
    reason: Literal["down", "no-meter", "no-clock", "partial"]
    reg_start_wh: Count | None
    reg_end_wh: Count | None
    wh: Integer | None


class MeterChange(_Part):
    """Detail of `meter-changed`: `from` and `to` are serial numbers of meters."""

    point: Identifier
    before: Annotated[Text | None, Field(alias="from")]
    after: Annotated[Text | None, Field(alias="to")]
    reg_end_wh: Count | None
    reg_start_wh: Count | None


class KeyChange(_Part):
    """Detail of `key-change`: the key that signs from the next record on."""

    kid: KeyId
    jwk: dict[str, str]

    @model_validator(mode="after")
    def _is_public_ed25519(self) -> "KeyChange":
        public_key_of(self.jwk)
        return self


_DETAILS: dict[str, type[_Part]] = {"meter-changed": MeterChange, "key-change": KeyChange}


class Event(_Record):
    """Something that happened."""

    kind: Literal["event"]
    at: Moment
    what: Text
    detail: dict[str, Any]

    @model_validator(mode="after")
    def _detail_of_a_known_event(self) -> "Event":
        if self.what in _DETAILS:
            _DETAILS[self.what].model_validate(self.detail)
        return self

    @property
    def key_change(self) -> KeyChange | None:
        """The new key, if that is what the event is about."""
        return KeyChange.model_validate(self.detail) if self.what == "key-change" else None


class Reference(_Part):
    """Another record."""

    epoch: Positive
    seq: Positive


class Correction(_Record):
    """A signed difference to an earlier record."""

    kind: Literal["correction"]
    at: Moment
    ref: Reference
    wh: Integer
    reason: Text


class DayClose(_Record):
    """The site's own sum over a UTC day."""

    kind: Literal["day_close"]
    day: Day
    count: Count
    wh: Integer
    root: Hash


class Before(_Part):
    """The last record of the epoch before, as the site knows it."""

    epoch: Positive
    seq: Positive
    head_hash: Hash


class EpochOpen(_Record):
    """The first record of an epoch. `points[0]` is the site meter."""

    kind: Literal["epoch_open"]
    at: Moment
    reason: Literal["new", "storage-loss", "fork", "restore", "interval-change", "operator"]
    interval_s: Positive
    points: Annotated[list[Identifier], Field(min_length=1)]
    before: Before | None

    @model_validator(mode="after")
    def _coherent(self) -> "EpochOpen":
        if SECONDS_PER_DAY % self.interval_s:
            raise FormError("interval_s does not divide a day")
        if len(set(self.points)) != len(self.points):
            raise FormError("a point is named twice")
        return self


AnyRecord = Annotated[Interval | Gap | Event | Correction | DayClose | EpochOpen, Field(discriminator="kind")]
_SCHEMA: TypeAdapter[AnyRecord] = TypeAdapter(AnyRecord)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and the JWS that it came in."""

    record: AnyRecord
    envelope: Envelope

    @property
    def jws(self) -> bytes:
        """What is hashed, stored and compared."""
        return self.envelope.text


def read_record(envelope: Envelope) -> AnyRecord:
    """The record in a JWS whose signature is somebody else's concern.

    Raises:
        FormError: not a record of the contract, in canonical form.
    """
    if envelope.typ != RECORD_TYPE:
        raise FormError(f"typ is not {RECORD_TYPE}")
    members = parse_json_object(envelope.payload)
    _check_canonical(members, envelope.payload)
    try:
        record = _SCHEMA.validate_python(members)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise FormError(f"{where}: {first['msg']}") from error
    if (record.seq == 1) != (record.kind == "epoch_open"):
        raise FormError("the record with seq 1 is epoch_open, and no other is")
    return record


_PLAIN = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _check_canonical(members: dict[str, Any], payload: bytes) -> None:
    # Of ASCII and integers alone the standard library writes the same in a tenth of the time.
    plain = _PLAIN.encode(members)
    if plain.isascii() and plain.encode("ascii") == payload:
        return
    try:
        canonical = rfc8785.dumps(members)
    except rfc8785.CanonicalizationError as error:
        raise FormError(str(error)) from error
    if canonical != payload:
        raise FormError("the payload is not RFC 8785 canonical JSON")


def check_point(record: AnyRecord, points: list[str]) -> None:
    """Hold a record against the points of its epoch.

    Raises:
        FormError: a point that the epoch has not, or the site meter's members on another point.
    """
    if not isinstance(record, Interval | Gap):
        return
    if record.point not in points:
        raise FormError(f"the epoch has no point {record.point}")
    if isinstance(record, Interval) and record.point != points[0] and not record.is_plain:
        raise FormError("only the site meter's interval has limit_wh … output")
