"""What the exchange answers, as models: the code fills them in, and its OpenAPI document shows them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sim_devices.exchange.encoding import ID_FORM, MAX_INTEGER

Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Positive = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
Integer = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
SiteId = Annotated[str, StringConstraints(pattern=rf"^{ID_FORM}$")]
HashText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
JwsText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$")]
DayText = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
MomentText = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]

Word = Literal[
    "unauthorized",
    "forbidden",
    "too-large",
    "unsupported-type",
    "digest-mismatch",
    "invalid-record",
    "ledger-fork",
    "sequence-gap",
    "chain-broken",
    "no-data",
    "invalid-request",
    "not-found",
    "method-not-allowed",
    "unavailable",
]
"""Last segment of a problem's `type`."""

TYPE_BASE = "https://quotawatt.example/problems/"


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HeadAnswer(_Answer):
    """The last record of an epoch; zeros and `null` if there is none."""

    epoch: Count
    seq: Count
    head_hash: HashText | None
    head_jws: JwsText | None


class Through(_Answer):
    """The last record that counts in a day."""

    epoch: Positive
    seq: Positive


class StatementAnswer(_Answer):
    """A site's UTC day as the exchange settles it. Energy in Wh."""

    site: SiteId
    day: DayText
    closed: bool
    count: Count
    wh: Integer
    root: HashText
    corrections_wh: Integer
    through: Through


class ReceiptClaims(_Answer):
    """The payload of a receipt, a JWS of `typ` qw-receipt+jws by the exchange's key."""

    site: SiteId
    epoch: Positive
    through_seq: Positive
    head_hash: HashText
    received_at: MomentText
    receipt_id: str


class Problem(_Answer):
    """RFC 9457. Members after `detail` come with some words only."""

    type: Annotated[str, StringConstraints(pattern=rf"^{TYPE_BASE}[a-z-]+$")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    seq: Count | None = None
    expected_epoch: Positive | None = None
    expected_seq: Positive | None = None
    head_seq: Count | None = None
    head_hash: HashText | None = None
