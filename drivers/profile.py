"""What a device profile says: plain data that drives the driver, the allocator and the simulator alike."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from drivers.message_map import FieldPoint, MessageCommand, MqttMap
from drivers.origin import Origin
from drivers.quantity import QUANTITY_BY_NAME, Quantity

__all__ = [
    "DAY_S",
    "FEEDS_PER_TIMER",
    "SLOW_S",
    "WORTH_BRIDGING",
    "FieldPoint",
    "IdentityCheck",
    "MessageCommand",
    "ModbusMap",
    "MqttMap",
    "OperatingPoint",
    "Origin",
    "OutletSwitches",
    "OutputKind",
    "Pacing",
    "Profile",
    "ReadRules",
    "RegisterCommand",
    "RegisterPoint",
    "Reversion",
    "Role",
    "Setpoint",
    "TextPoint",
    "Trust",
    "Vector",
    "WordOrder",
    "WordType",
    "measuring_only",
]


class Role(StrEnum):
    """What a device is to the site."""

    SITE_METER = "site-meter"
    CHECK_METER = "check-meter"
    CIRCUIT_METER = "circuit-meter"
    PDU = "pdu"
    LOAD = "load"
    COOLING = "cooling"


class Trust(StrEnum):
    """How well a profile is founded."""

    SIMULATED = "simulated"
    VENDOR_DOC = "vendor-doc"
    MULTI_SOURCE = "multi-source"
    SINGLE_SOURCE = "single-source"
    HARDWARE_VERIFIED = "hardware-verified"


class WordType(StrEnum):
    """Type of a value in 16-bit registers."""

    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    U64 = "u64"
    S64 = "s64"
    F32 = "f32"
    F64 = "f64"

    @property
    def words(self) -> int:
        """Registers that the value takes."""
        return int(self[1:]) // 16


class WordOrder(StrEnum):
    """Which word of a multi-register value comes first."""

    BIG = "big"
    LITTLE = "little"


FEEDS_PER_TIMER = 3
"""So often within its time a reversion timer is fed: no order may get through for half of it."""
WORTH_BRIDGING = 31
"""Registers of a hole that cost less on TCP than another request."""
DAY_S = 86_400.0
SLOW_S = 60.0
"""Period of the points that are read seldom."""


@dataclass(frozen=True, slots=True)
class RegisterPoint:
    """A value in a Modbus device. `raw * scale` is in the unit of its quantity."""

    name: str
    address: int
    """Wire address, 0-based."""
    type: WordType
    function: int
    """Function code that reads it: 3 or 4."""
    word_order: WordOrder
    scale: float = 1.0
    """Negative where the device counts export as positive."""
    sentinel: int | None = None
    """Raw value (unsigned) that means "not available"."""
    unit: str = ""
    """Of the scaled value; empty = a plain number."""
    times: str | None = None
    """Name of the point whose value multiplies this one, as a nominal power does a percentage."""
    exponent: str | None = None
    """Name of the point whose value is the power of ten that multiplies this one."""
    plus: str | None = None
    """Name of the point whose value is added, as the energy of a second tariff."""
    slow: bool = False
    """It is read once after each connection and then every `SLOW_S`, in a sweep of its own."""

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the points that its value depends on."""
        return tuple(name for name in (self.times, self.exponent, self.plus) if name is not None)

    @property
    def quantity(self) -> Quantity | None:
        """The quantity that reaches the site table, if it is one."""
        return QUANTITY_BY_NAME.get(self.name)


@dataclass(frozen=True, slots=True)
class TextPoint:
    """Characters in registers, two in each: a model or a serial number."""

    name: str
    address: int
    """Wire address, 0-based."""
    words: int
    function: int


@dataclass(frozen=True, slots=True)
class IdentityCheck:
    """What a point must show before the device is believed to be what the profile says."""

    point: str
    """Name of a register point or a text point."""
    values: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()
    """The text begins with one of these."""
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class ReadRules:
    """What a device lets itself be asked for."""

    max_span: int = 125
    """Most registers in a read."""
    barriers: tuple[int, ...] = ()
    """Addresses that no block may cross: a block ends before or starts at each."""
    max_gap: int = WORTH_BRIDGING
    """Longest hole between points that is read along."""
    length_multiple: int = 1
    """The number of registers in a read is a multiple of this."""
    start_multiple: int = 1
    """A read starts at a multiple of this."""
    one_request_per_point: bool = False
    readable: tuple[tuple[int, int], ...] = ()
    """First and last address of each range that can be read; empty = not declared."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """How much haste a device bears. On a shared connection the slowest unit's pace is everyone's."""

    pause_after_connect_s: float = 0.0
    pause_between_requests_s: float = 0.0
    """From an answer, or the lack of it, to the next request."""
    close_after_sweep: bool = False


@dataclass(frozen=True, slots=True)
class ModbusMap:
    """The register map."""

    points: tuple[RegisterPoint, ...]
    reads: ReadRules = ReadRules()
    texts: tuple[TextPoint, ...] = ()
    identity: tuple[IdentityCheck, ...] = ()
    """All must hold before the first use and before any write."""
    pacing: Pacing = Pacing()
    in_flight: int = 1
    """Requests that the device, or the gateway before it, takes at a time on a TCP connection."""
    sunspec_model: int | None = None
    """If there is one, addresses count from the id register of this model, and those of texts from
    that of the common model: where they are each device says itself."""


@dataclass(frozen=True, slots=True)
class Vector:
    """Raw words of a point and what they mean."""

    point: str
    words: tuple[int, ...]
    """In wire order."""
    value: float | str | None
    """In the point's unit; `None` = not available."""
    origin: Origin
    source: str
    """Which source, if they were copied; else how they were derived."""


@dataclass(frozen=True, slots=True)
class RegisterCommand:
    """How a set-point is written to registers."""

    point: RegisterPoint
    sleep_value: int
    no_limit_value: int


@dataclass(frozen=True, slots=True)
class Reversion:
    """What a device falls back to by itself where it is not told again in time."""

    limit: RegisterPoint | None
    """Takes the limit that it falls back to, W; `None` = it falls back to no limit."""
    timer: RegisterPoint | None
    """Takes the time until then, s; `None` = it is fixed."""
    after_s: float
    """From the last order."""

    @property
    def feeds_per_day(self) -> float:
        """Orders a day that keep its timer from ending."""
        return FEEDS_PER_TIMER * DAY_S / self.after_s


@dataclass(frozen=True, slots=True)
class OutletSwitches:
    """How the outlets of a PDU are switched: a register each, counted from outlet 1."""

    first: RegisterPoint
    count: int
    stride: int
    """Registers from one outlet's to the next one's."""
    on_value: int
    off_value: int

    def point(self, outlet: int) -> RegisterPoint:
        """The register of an outlet."""
        return replace(self.first, address=self.first.address + (outlet - 1) * self.stride)


@dataclass(frozen=True, slots=True)
class Setpoint:
    """How a load can be told to draw less, and how it behaves then."""

    command: RegisterCommand | MessageCommand
    sleep_w: float
    floor_w: float
    """Lowest power target above sleep."""
    ceiling_w: float
    step_w: float
    latency_down_s: float
    """95 % of the orders to draw less have taken effect after this."""
    latency_up_s: float
    settle_s: float
    """So long after an order the load counts as commanded."""
    min_off_s: float
    restarts_on_write: bool
    persistent: bool
    """Writes wear the device's flash."""
    hard_off: bool
    """Its outlet may be switched off."""
    writes_per_day: float | None = None
    """So many writes it bears besides sheds; `None` = any number."""
    reversion: Reversion | None = None
    """`None` = it keeps an order for ever."""


class OutputKind(StrEnum):
    """What a load produces."""

    HASH = "hash"
    GPU = "gpu"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A way to run a load."""

    name: str
    watts: float
    value: float
    """Share of the full output, 0–1."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of device."""

    name: str
    title: str
    role: Role
    trust: Trust
    sources: tuple[str, ...]
    nameplate_w: float
    period_s: float
    map: ModbusMap | MqttMap
    setpoint: Setpoint | None
    output: OutputKind | None
    output_full: float
    """TH/s or GPUs at full output; 0 without output."""
    operating_points: tuple[OperatingPoint, ...]
    """Ascending watts; empty if the device cannot be controlled."""
    warning: str = ""
    """What an operator should know before relying on it."""
    outlets: OutletSwitches | None = None
    """Of a PDU whose outlets can be switched."""
    vectors: tuple[Vector, ...] = field(default=(), compare=False)

    @property
    def slow_quantities(self) -> frozenset[Quantity]:
        """What reaches the site table only every `SLOW_S`."""
        if not isinstance(self.map, ModbusMap):
            return frozenset()
        return frozenset(p.quantity for p in self.map.points if p.slow and p.quantity is not None)

    @property
    def may_be_written(self) -> bool:
        """Whether its writes were seen to work: on hardware, or on the simulator it is made for."""
        return self.trust in {Trust.SIMULATED, Trust.HARDWARE_VERIFIED}


def measuring_only(profile: Profile) -> Profile:
    """The profile without what can be ordered."""
    return replace(profile, setpoint=None, operating_points=(), outlets=None)


def at_once(profile: Profile) -> Profile:
    """The profile with all that it polls in one sweep, for a meter whose serial guards its register."""
    if not isinstance(profile.map, ModbusMap) or not profile.slow_quantities:
        return profile
    points = tuple(replace(point, slow=False) for point in profile.map.points)
    return replace(profile, map=replace(profile.map, points=points))
