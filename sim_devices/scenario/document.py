"""What may stand in a scenario file."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from drivers.profiles import profile_names
from sim_devices.faults import AnswerFault, Shown
from sim_devices.layout import DISOBEDIENT_SHARE, HEADROOM, LIE, UNITS_PER_GATEWAY, USUAL_MIX
from sim_devices.scenario.dispatch import DispatchTable, MessagesTable, WiresTable

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Code = Annotated[int, Field(ge=1, le=255)]
Count = Annotated[int, Field(ge=0, le=100_000)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Names = Pattern | Annotated[list[Pattern], Field(min_length=1)]
"""Ids, or patterns with `*`, `?` and `[…]`."""

LOADS = "load"
METERS = "meter"


def simulated_miners() -> list[str]:
    """The profiles that a mix may name."""
    return [name for name in profile_names() if name.startswith("sim-miner")]


class ScenarioError(Exception):
    """A scenario cannot be used; one line for each mistake, with file and key."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class PlantTable(_Table):
    """The site that the scenario is made for; see `lay_out`."""

    miners: Count = 240
    racks: Annotated[int, Field(ge=0, le=1000)] = 0
    pdus: Annotated[int, Field(ge=0, le=5000)] | None = None
    mix: Annotated[dict[str, Annotated[float, Field(ge=0)]], Field(min_length=1)] = dict(USUAL_MIX)
    gateways: Annotated[int, Field(ge=0, le=10_000)] = 0
    units_per_gateway: Annotated[int, Field(ge=1, le=247)] = UNITS_PER_GATEWAY
    containers: Annotated[int, Field(ge=0, le=1000)] = 0
    container_headroom: Annotated[float, Field(gt=0, le=10)] = HEADROOM
    disobedient_share: Share = DISOBEDIENT_SHARE
    offline_share: Share = 0.0
    lying_share: Share = 0.0
    lie_percent: Annotated[float, Field(gt=-100, le=1000)] = LIE * 100
    check_meter: bool = False

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        models = simulated_miners()
        for name in self.mix:
            if name not in models:
                raise ValueError(f'mix names "{name}", no simulated miner; there are {", ".join(models)}')
        if not sum(self.mix.values()) > 0:
            raise ValueError("mix has no miner of any model; give one of them a number above 0")
        behind = self.gateways * self.units_per_gateway
        if behind > self.miners:
            raise ValueError(
                f"has {behind} miners behind gateways, but only {self.miners}; use fewer gateways"
            )
        return self


class _Event(_Table):
    """Something that happens. Seconds are the plant's own, from its start."""

    at_s: Seconds
    every_s: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """It happens again and again."""
    times: Annotated[int, Field(ge=1)] | None = None
    """So often; without it, without end."""

    @model_validator(mode="after")
    def _repeats(self) -> Self:
        if self.times is not None and self.every_s is None:
            raise ValueError("times goes with every_s")
        return self


class DeviceEvent(_Event):
    """Something that befalls devices. Of those that are named, or of all, the ones of `profiles`."""

    KIND: ClassVar[str | None] = None
    """Which devices it can befall; `None` = any."""
    devices: Names | None = None
    gateways: Names | None = None
    """All that is behind these."""
    profiles: Names | None = None
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Of those, drawn by seed; rounded to whole devices, at least one."""
    count: Annotated[int, Field(ge=1)] | None = None
    """So many of those, drawn by seed."""

    @model_validator(mode="after")
    def _names_some(self) -> Self:
        if self.devices is None and self.gateways is None and self.profiles is None:
            raise ValueError('names no device; give devices, gateways or profiles, such as devices = "m-*"')
        if self.share is not None and self.count is not None:
            raise ValueError("has both share and count; give one")
        return self


class Condition(DeviceEvent):
    """Something that is wrong for a while."""

    for_s: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Without it, to the end."""

    def faults(self) -> dict[str, Any]:
        """Attributes of `DeviceFaults` and their values meanwhile."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _ends_before_it_returns(self) -> Self:
        if self.every_s is not None and (self.for_s is None or self.for_s > self.every_s):
            raise ValueError("lasts longer than until it happens again; give for_s up to every_s")
        return self


class Latency(Condition):
    """Every answer or message comes later."""

    fault: Literal["latency"]
    seconds: Annotated[float, Field(gt=0, le=3600)]

    def faults(self) -> dict[str, Any]:
        return {"latency_s": self.seconds}


class Drop(Condition):
    """Requests or messages are lost."""

    fault: Literal["drop"]
    every: Annotated[int, Field(ge=1)] | None = None
    """Each so-manyth."""
    chance: Annotated[float, Field(gt=0, le=1)] | None = None
    """Each with this probability, drawn by seed."""
    lose: Literal["request", "answer"] = "request"
    """`answer`: the request was carried out."""

    def faults(self) -> dict[str, Any]:
        return {
            "drop_every": self.every or 0,
            "drop_share": self.chance or 0.0,
            "lose_answers": self.lose == "answer",
        }

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if (self.every is None) == (self.chance is None):
            raise ValueError("needs either every or chance")
        return self


class Switched(Condition):
    """What is wrong or is not."""

    fault: Literal["half-open", "refuse", "frozen", "unavailable"]

    def faults(self) -> dict[str, Any]:
        return {"silent" if self.fault == "half-open" else self.fault: True}


class WrongAnswer(Condition):
    """Answers wrongly."""

    fault: Literal[
        "short", "long", "lying-count", "garbage", "wrong-transaction", "wrong-unit", "wrong-function"
    ]

    def faults(self) -> dict[str, Any]:
        return {"answer": AnswerFault(self.fault)}


class ByteByByte(Condition):
    """Sends one byte at a time."""

    fault: Literal["byte-by-byte"]
    pause_s: Annotated[float, Field(gt=0, le=60)] = 0.005

    def faults(self) -> dict[str, Any]:
        return {"byte_pause_s": self.pause_s}


class Exceptional(Condition):
    """Answers with an exception."""

    fault: Literal["exception", "refuse-writes"]
    code: Code

    def faults(self) -> dict[str, Any]:
        return {self.fault.replace("-", "_"): self.code}


class Readback(Condition):
    """Shows another set-point than it holds."""

    KIND = LOADS
    fault: Literal["wrong-readback"]
    watts: Annotated[int, Field(ge=0)] | None = None
    """0 = sleep; without it, no limit."""

    def faults(self) -> dict[str, Any]:
        return {"readback": Shown(self.watts)}


class OfALoad(Condition):
    """What is wrong with a load itself."""

    KIND = LOADS
    fault: Literal["disobey", "no-work"]

    def faults(self) -> dict[str, Any]:
        return {self.fault.replace("-", "_"): True}


class Lie(Condition):
    """Reports too much or too little power."""

    fault: Literal["lie"]
    percent: Annotated[float, Field(ge=-100, le=1000)]

    def faults(self) -> dict[str, Any]:
        return {"lie": self.percent / 100}


class Backwards(Condition):
    """A meter's register counts down."""

    KIND = METERS
    fault: Literal["backwards"]

    def faults(self) -> dict[str, Any]:
        return {"backwards": True}


class Vanish(DeviceEvent):
    """Open connections are never answered again, nor ended; new ones are served."""

    fault: Literal["vanish"]


class Reboot(DeviceEvent):
    """Loads forget their set-points and come back at full power."""

    KIND = LOADS
    fault: Literal["reboot"]
    for_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    """So long nobody listens there."""


class Jump(DeviceEvent):
    """A meter's register moves."""

    KIND = METERS
    fault: Literal["jump"]
    wh: Annotated[int, Field(ge=-(10**12), le=10**12)]


class RollOver(DeviceEvent):
    """A meter's register begins at 0 again."""

    KIND = METERS
    fault: Literal["roll-over"]
    after_wh: Annotated[int, Field(ge=1, le=10**12)]


class WeatherEvent(_Event):
    """The weather that the cooling works in changes."""

    fault: Literal["weather"]
    mean_c: Annotated[float, Field(ge=-60, le=60)]
    swing_c: Annotated[float, Field(ge=0, le=40)] = 0.0
    """Between the mean and the warmest hour of a day."""


Befalling = (
    Latency
    | Drop
    | Switched
    | WrongAnswer
    | ByteByByte
    | Exceptional
    | Readback
    | OfALoad
    | Lie
    | Backwards
    | Vanish
    | Reboot
    | Jump
    | RollOver
)
Event = Befalling | WeatherEvent


class ScenarioDocument(_Table):
    """A whole file."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    seed: Annotated[int, Field(ge=0, le=2**53)] = 1
    """Of everything random: the plant's, and which devices a share is."""
    plant: PlantTable | None = None
    """Without it, the scenario is for any site that has the devices it names."""
    dispatch: DispatchTable | None = None
    """This and the next two are for who plays a whole site, not only its devices."""
    messages: MessagesTable | None = None
    wires: WiresTable | None = None
    events: list[Annotated[Event, Field(discriminator="fault")]] = []
