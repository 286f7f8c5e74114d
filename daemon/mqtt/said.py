"""What a site says over MQTT, as models: from them the AsyncAPI document is made, and tests judge by them.

Powers are W, energies Wh, times `YYYY-MM-DDTHH:MM:SSZ`. `null` = no value.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from daemon.authority.states import Source, State
from daemon.commands.claims import Jti, UtcText
from daemon.commands.words import Reason, Status
from daemon.metering.site_power import PowerSource

Integer = Annotated[int, Field(ge=-(2**53) + 1, le=2**53 - 1)]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Hash = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


class _Said(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class HoldInForce(_Said):
    """The operator's hold."""

    limit_w: Count
    reason: str
    until: UtcText | None


class Devices(_Said):
    """Devices by status."""

    total: Count
    ok: Count
    suspect: Count
    down: Count
    curtailed: Count


class LedgerPosition(_Said):
    """The newest record, and the newest receipted one."""

    epoch: Count
    seq: Count
    acked_seq: Count


class StandingAlarm(_Said):
    """An alarm that stands."""

    id: str
    type: str
    since: UtcText


class SiteState(_Said):
    """`state`: on every change within 1 s, and every 10 s. Retained."""

    ts: UtcText
    online: Literal[True]
    boot: Jti
    version: str
    state: State
    limit_w: Count
    limit_source: Source
    quota_rev: Count | None
    power_w: Integer | None
    power_source: PowerSource
    headroom_w: Integer | None
    hold: HoldInForce | None
    devices: Devices
    ledger: LedgerPosition
    alarms: list[StandingAlarm]


class SiteOffline(_Said):
    """`state` of a site that is not there: the will, and the last word of a clean stop."""

    ts: UtcText
    online: Literal[False]
    boot: Jti


class Telemetry(_Said):
    """`telemetry`: every 2 s."""

    ts: UtcText
    power_w: Integer | None
    power_source: PowerSource
    limit_w: Count
    state: State
    uncontrolled_w: Integer | None
    lowest_w: Integer | None
    wanted_w: Integer | None
    hash_ths: Integer | None
    gpu_active: Integer | None


class AlarmEvent(_Said):
    """`event`: an alarm begins or ends."""

    ts: UtcText
    type: Literal["alarm", "clear"]
    id: str
    alarm: str
    text: str


class StateEvent(_Said):
    """`event`: the state has changed."""

    ts: UtcText
    type: Literal["state"]
    from_: Annotated[State, Field(alias="from")]
    to: State
    cause: str


class RefusedEvent(_Said):
    """`event`: a message was refused; at most ten a second."""

    ts: UtcText
    type: Literal["refused"]
    topic: str
    reason: Reason
    kid: str | None
    sha256: Hash
    suppressed: Count | None = None
    """How many refusals before this one were not told."""


class AnswerClaims(_Said):
    """`rsp/{jti}`: the payload of a JWS by the site's key."""

    iss: str
    aud: str
    jti: Jti
    seq: Count
    iat: Count
    exp: Count
    status: Status
    reason: Reason | None = None
    """With `rejected`."""
    detail: str | None = None
    """With `rejected` and `failed`."""
    result: dict[str, Any] | None = None
    """With `done`."""
