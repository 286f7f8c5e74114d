"""The tables of the configuration file as pydantic models.

The description of a field says what would be right: it follows the mistake on its line, and is
shown by editors through the JSON Schema.
"""

import base64
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from daemon.config.settings import GPU_PER_HOUR, KeyRole, MqttProtocol, OnStop, Tier
from daemon.config.urls import HTTP_PORTS, MQTT_PORTS, mistake, split_listen, split_url
from daemon.timestamps import parse_utc
from drivers.profile import Role

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
ID_RIGHT = "write 1-64 letters, digits, '.', '_' or '-', the first a letter or digit"

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
KeyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Megawatts = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


def _mqtt_url(text: str) -> str:
    url, _ = split_url(text, MQTT_PORTS)
    if url.path not in {"", "/"}:
        raise mistake(f"is {text!r}, with a path", "end after the port")
    return text


def _http_url(text: str) -> str:
    split_url(text, HTTP_PORTS)
    return text


def _listen(text: str) -> str:
    split_listen(text)
    return text


def _moment(value: Any) -> Any:
    """Unix seconds of a TOML date-time with zone, or of the wire form as a string."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return int(value.astimezone(UTC).timestamp())
    if isinstance(value, str):
        try:
            return parse_utc(value)
        except ValueError:
            return value
    return value


def _interval(value: int) -> int:
    if 86_400 % value:
        raise mistake(f"is {value}, which does not divide 86400", "write 60, 300, 900 or 3600, for example")
    return value


def _public_x(text: str) -> str:
    try:
        raw = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32 or base64.urlsafe_b64encode(raw).decode().rstrip("=") != text:
        raise mistake("is no Ed25519 public key", "copy the 43 characters of x from the sender's .pub.jwk")
    return text


Moment = Annotated[
    int,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Table(BaseModel):
    """A TOML table: unknown keys are refused and types are not guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class JwkTable(Table):
    """A public key."""

    kty: Literal["OKP"] = Field(description='write "OKP"')
    crv: Literal["Ed25519"] = Field(description='write "Ed25519"')
    x: Annotated[str, AfterValidator(_public_x)] = Field(
        description="write the 43 characters of x from the sender's .pub.jwk"
    )
    kid: KeyId | None = Field(None, description="not used here; may be left out")
    alg: Literal["EdDSA", "Ed25519"] | None = Field(None, description="not used here; may be left out")
    use: Literal["sig"] | None = Field(None, description="not used here; may be left out")


_JWK_RIGHT = 'write { kty = "OKP", crv = "Ed25519", x = "…" } with the sender\'s public key'
_KID_RIGHT = "write 1-64 letters, digits, '.', '_' or '-'"


class SiteTable(Table):
    """`[site]`: who the site is and its two limits."""

    id: Identifier = Field(description=ID_RIGHT)
    contract_max_mw: Annotated[Megawatts, Field(gt=0)] = Field(
        description="write the contract maximum in MW, a number above 0 such as 25.0"
    )
    failsafe_mw: Megawatts = Field(
        description="write the limit in MW while nobody with authority speaks, a number from 0 such as 5.0"
    )
    interval_s: Annotated[int, Field(ge=1, le=86_400), AfterValidator(_interval)] = Field(
        description="write the settlement interval in whole seconds that divide 86400, such as 300"
    )
    state_dir: Text = Field(description='write the folder for the ledger, such as "/var/lib/quotawatt"')


class ControlTable(Table):
    """`[control]`: how the limit in force moves."""

    lease_timeout_s: Annotated[Seconds, Field(ge=1)] = Field(
        120, description="write seconds from 1 to 86400, such as 120"
    )
    failsafe_ramp_s: Seconds = Field(300, description="write seconds from 0 to 86400, such as 300")
    ramp_up_pct_per_min: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] = Field(
        10, description="write percent of the contract maximum per minute, a number above 0 such as 10"
    )
    settle_s: Seconds = Field(30, description="write seconds from 0 to 86400, such as 30")
    on_stop: Annotated[OnStop, Field(strict=False)] = Field(
        OnStop.KEEP, description='write "keep" or "failsafe"'
    )


_PRICE_RIGHT = "a number from 0, in any currency: only ratios count"
Price = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class EconomicsTable(Table):
    """`[economics]`: what output is worth; which loads run under a limit follows from it."""

    hash_per_ths_day: Price | None = Field(
        None, description=f"write the price of 1 TH/s for a day, such as 0.05: {_PRICE_RIGHT}"
    )
    hash_per_th: Price | None = Field(
        None, description=f"write the price of 1 TH, 10^12 hashes, such as 5.8e-7: {_PRICE_RIGHT}"
    )
    gpu_per_hour: Price = Field(
        GPU_PER_HOUR, description=f"write the price of a GPU at work for an hour, such as 2.0: {_PRICE_RIGHT}"
    )
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = Field(
        None, description='write what the prices are in, three capital letters such as "USD", or leave it out'
    )


class KeysTable(Table):
    """`[keys]`: this site's private key, and the one that it replaces."""

    site: Text = Field(description='write the file of the site\'s private key, such as "site.jwk"')
    previous: Text | None = Field(
        None,
        description='write the file of the private key that keys.site replaces, such as "site-1.jwk", '
        "or leave it out",
    )


class MqttTable(Table):
    """`[mqtt]`: the broker."""

    url: Annotated[str, AfterValidator(_mqtt_url)] = Field(
        description='write the broker\'s address, such as "mqtts://broker.example:8883"'
    )
    username: Text | None = Field(None, description="write the name that the broker knows the site by")
    password_file: Text | None = Field(None, description="write the file that holds the broker password")
    ca: Text | None = Field(None, description="write the PEM file of the authority that signed the broker")
    cert: Text | None = Field(None, description="write the PEM file of the site's client certificate")
    key: Text | None = Field(None, description="write the PEM file of the client certificate's key")
    allow_plaintext: bool = Field(
        default=False, description="write true to allow mqtt:// beyond this machine, or false"
    )
    protocol: Annotated[MqttProtocol, Field(strict=False)] = Field(
        MqttProtocol.AUTO, description='write "auto", "5" or "3.1.1"'
    )


class ExchangeKeyTable(Table):
    """A key whose receipts count."""

    kid: KeyId = Field(description=_KID_RIGHT)
    jwk: JwkTable = Field(description=_JWK_RIGHT)


class SettlementTable(Table):
    """`[settlement]`: the exchange that takes the interval ledger."""

    url: Annotated[str, AfterValidator(_http_url)] = Field(
        description='write the exchange\'s address, such as "https://exchange.example/"'
    )
    keys: Annotated[list[ExchangeKeyTable], Field(min_length=1)] = Field(
        description="write at least one key whose receipts count: [{ kid = …, jwk = … }]"
    )
    ca: Text | None = Field(None, description="write the PEM file of the authority that signed the exchange")
    cert: Text | None = Field(None, description="write the PEM file of the site's client certificate")
    key: Text | None = Field(None, description="write the PEM file of the client certificate's key")
    audience: Text = Field("exchange", description='write the exchange\'s own name, such as "exchange"')
    allow_plaintext: bool = Field(
        default=False, description="write true to allow http:// beyond this machine, or false"
    )


class ModbusTlsTable(Table):
    """`[modbus.tls]`: for the devices at modbuss:// addresses."""

    ca: Text = Field(description="write the PEM file of the authority that signed the devices' certificates")
    cert: Text | None = Field(None, description="write the PEM file of this controller's certificate")
    key: Text | None = Field(None, description="write the PEM file of the key of that certificate")


class ModbusTable(Table):
    """`[modbus]`: what the Modbus devices have in common."""

    tls: ModbusTlsTable | None = Field(
        None, description='add a [modbus.tls] table with ca = "devices-ca.pem", cert and key'
    )


class HttpTable(Table):
    """`[http]`: the local interface."""

    listen: Annotated[str, AfterValidator(_listen)] = Field(
        "127.0.0.1:8480", description="write HOST:PORT, such as 127.0.0.1:8480"
    )


class TrustedKeyTable(Table):
    """`[[trust.keys]]`: who may say what."""

    kid: KeyId = Field(description=_KID_RIGHT)
    role: Annotated[KeyRole, Field(strict=False)] = Field(
        description='write "dispatcher", "operator" or "engineer"'
    )
    jwk: JwkTable = Field(description=_JWK_RIGHT)
    not_before: Moment | None = Field(None, description="write a UTC time such as 2027-01-01T00:00:00Z")
    not_after: Moment | None = Field(None, description="write a UTC time such as 2027-01-01T00:00:00Z")


class TrustTable(Table):
    """`[trust]`."""

    keys: list[TrustedKeyTable] = Field(default=[], description="write [[trust.keys]] entries")


class CircuitTable(Table):
    """`[[circuits]]`: a feeder, container or rack in the tree of limits."""

    id: Identifier = Field(description=ID_RIGHT)
    max_mw: Annotated[Megawatts, Field(gt=0)] = Field(
        description="write the circuit's limit in MW, a number above 0 such as 12.5"
    )
    parent: Identifier | None = Field(None, description="write the id of another circuit")
    meter: Identifier | None = Field(None, description="write the id of a device that meters this circuit")


_RANGES = "; {1-240} counts, {n} and {n:05} number what is counted"


class DeviceTable(Table):
    """`[[devices]]`: a device, or with ranges a whole hall of them."""

    id: Text = Field(description=ID_RIGHT + _RANGES)
    profile: Text = Field(
        description='write a device profile: its name, as "sim-miner", or its file, as "my-meter.toml"'
    )
    address: Text = Field(
        description='write an address such as "modbus://10.0.0.5:502/1" or "mqtt:hall-1/rack-7"' + _RANGES
    )
    role: Annotated[Role | None, Field(strict=False)] = Field(
        None, description="write " + ", ".join(f'"{role}"' for role in Role) + " or leave it to the profile"
    )
    circuit: Text | None = Field(None, description="write the id of a circuit")
    tier: Annotated[Tier, Field(strict=False)] = Field(
        Tier.NORMAL, description='write "critical", "normal" or "first-to-go"'
    )
    fed_by: Text | None = Field(
        None, description='write PDU-ID/OUTLET, such as "pdu-3/7", or "pdu-{1-12}/{1-20}"'
    )
    period_s: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] | None = Field(
        None, description="write the polling period in seconds, from 0.1 to 3600"
    )
    allow_unverified_writes: bool = Field(
        default=False,
        description="write true to order a device whose profile was never tried on hardware, or false",
    )


class DevicesCsvTable(Table):
    """`[[devices_csv]]`: a list of devices in a CSV file whose header names the keys of `[[devices]]`."""

    file: Text = Field(description='write the CSV file with a device a line, such as "hall-1.csv"')


class Document(Table):
    """The whole file."""

    site: SiteTable = Field(description="add a [site] table")
    control: ControlTable = Field(default=ControlTable(), description="write a [control] table")
    economics: EconomicsTable = Field(default=EconomicsTable(), description="write an [economics] table")
    keys: KeysTable = Field(description='add a [keys] table with site = "site.jwk"')
    mqtt: MqttTable = Field(description='add an [mqtt] table with url = "mqtts://…"')
    settlement: SettlementTable | None = Field(None, description="write a [settlement] table")
    modbus: ModbusTable = Field(default=ModbusTable(), description="write a [modbus.tls] table")
    http: HttpTable = Field(default=HttpTable(), description="write an [http] table")
    trust: TrustTable = Field(default=TrustTable(), description="write [[trust.keys]] entries")
    circuits: list[CircuitTable] = Field(default=[], description="write [[circuits]] entries")
    devices: list[DeviceTable] = Field(default=[], description="write [[devices]] entries")
    devices_csv: list[DevicesCsvTable] = Field(default=[], description="write [[devices_csv]] entries")
