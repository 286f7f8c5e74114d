"""What a correct configuration says: frozen values in the daemon's own units."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from drivers.address import Address
from drivers.profile import Profile, Role
from drivers.tls import TlsFiles

Jwk = Mapping[str, str]
"""A public Ed25519 key: `kty`, `crv`, `x`."""


class OnStop(StrEnum):
    """What a stop does to the set-points."""

    KEEP = "keep"
    FAILSAFE = "failsafe"


class MqttProtocol(StrEnum):
    """Which MQTT to speak; `auto` = 5 where the broker has it."""

    AUTO = "auto"
    V5 = "5"
    V311 = "3.1.1"


class KeyRole(StrEnum):
    """What the holder of a trusted key may say."""

    DISPATCHER = "dispatcher"
    OPERATOR = "operator"
    ENGINEER = "engineer"


class Tier(StrEnum):
    """In which order loads are shed."""

    CRITICAL = "critical"
    NORMAL = "normal"
    FIRST_TO_GO = "first-to-go"


@dataclass(frozen=True, slots=True)
class Site:
    """Who the site is and its two limits."""

    id: str
    contract_max_w: int
    failsafe_w: int
    interval_s: int
    state_dir: Path


@dataclass(frozen=True, slots=True)
class Control:
    """How the limit in force moves."""

    lease_timeout_s: float
    failsafe_ramp_s: float
    ramp_up_pct_per_min: float
    """Percent of the contract maximum."""
    settle_s: float
    on_stop: OnStop


HASH_PER_THS_DAY = 0.05
GPU_PER_HOUR = 2.0


@dataclass(frozen=True, slots=True)
class Economics:
    """What output is worth. Only ratios matter to the allocation."""

    hash_per_ths_day: float = HASH_PER_THS_DAY
    """Of 1 TH/s for a day."""
    gpu_per_hour: float = GPU_PER_HOUR
    """Of a GPU at work for an hour."""
    currency: str | None = None
    """ISO 4217; `None` = not named."""


@dataclass(frozen=True, slots=True)
class Mqtt:
    """The broker; `password` is the content of the file that was named."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None
    ca: Path | None
    cert: Path | None
    key: Path | None
    protocol: MqttProtocol


@dataclass(frozen=True, slots=True)
class ExchangeKey:
    """A key whose receipts count."""

    kid: str
    jwk: Jwk


@dataclass(frozen=True, slots=True)
class Settlement:
    """The exchange that takes the interval ledger."""

    url: str
    """Ends with `/`."""
    keys: tuple[ExchangeKey, ...]
    ca: Path | None
    cert: Path | None
    key: Path | None
    audience: str


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key that may command the site; times are Unix seconds, `None` = without end."""

    kid: str
    role: KeyRole
    jwk: Jwk
    not_before: int | None
    not_after: int | None


@dataclass(frozen=True, slots=True)
class Circuit:
    """A node in the tree of limits."""

    id: str
    max_w: int
    parent: str | None
    meter: str | None
    """Device id."""


@dataclass(frozen=True, slots=True)
class ConfiguredDevice:
    """One device; its ranges are already expanded."""

    id: str
    profile: Profile
    address: Address
    role: Role
    circuit: str | None
    tier: Tier
    fed_by: tuple[str, int] | None
    """PDU's device id and outlet number."""
    period_s: float
    writes_withheld: bool = False
    """Its profile could order it and was never tried on hardware: `profile` here only measures."""


@dataclass(frozen=True, slots=True)
class HttpListen:
    """Where the local HTTP interface listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the daemon is told before it starts."""

    path: Path
    site: Site
    control: Control
    site_key_path: Path
    mqtt: Mqtt
    settlement: Settlement | None
    trust_keys: tuple[TrustedKey, ...]
    circuits: tuple[Circuit, ...]
    devices: tuple[ConfiguredDevice, ...]
    """In the order of the files; the index is the device's row."""
    http_listen: HttpListen
    economics: Economics = Economics()
    modbus_tls: TlsFiles | None = None
    """For the devices at modbuss:// addresses."""
    previous_key_path: Path | None = None
    """Of the key that the site's key replaces."""
