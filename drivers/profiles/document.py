"""The TOML form of a device profile as strict models: what each table may say by itself."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.message_map import Acknowledgement
from drivers.profile import WORTH_BRIDGING, Origin, OutputKind, ReadRules, Role, Trust, WordOrder, WordType
from drivers.profiles.base import Name, Table
from drivers.profiles.message_tables import MessageVectorTable, MqttTable

MAX_SPAN = 125
"""Registers that one Modbus read can carry."""

Address = Annotated[int, Field(ge=0, le=0x10000)]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]
Pause = Annotated[float, Field(ge=0, le=60)]
Duration = Annotated[float, Field(ge=0, le=86_400)]
Watts = Annotated[float, Field(ge=0, le=1e9)]
Scale = Annotated[float, Field(ge=1e-9, le=1e9)]
"""No device counts in larger or smaller steps; a slip of the exponent does."""
Unit = Literal[
    "", "W", "Wh", "V", "A", "Hz", "VA", "var", "varh", "%", "°", "°C", "s", "TH/s", "GPUs", "bar", "kPa"
]
"""Units without a prefix: a profile scales kilowatts to watts."""


class Sign(StrEnum):
    """Which direction of power the device counts as positive."""

    IMPORT = "import"
    EXPORT = "export"


class OutputTable(Table):
    """`[output]`."""

    kind: OutputKind = Field(description="what a load produces: hash (TH/s) or gpu (GPUs)")
    full: float = Field(gt=0, le=1e9, description="TH/s or GPUs at full output")


class ModbusTable(Table):
    """`[modbus]`."""

    function: Literal[3, 4] = Field(description="function code that reads the points: 3 = holding, 4 = input")
    word_order: WordOrder = Field(description="which word of a longer value comes first: big = the high one")
    address_base: Literal[0, 1] = Field(
        default=0, description="0 = addresses as on the wire; 1 = register numbers, one more than on the wire"
    )
    sunspec_model: int | None = Field(
        default=None,
        ge=2,
        le=0xFFFE,
        description="SunSpec: addresses count from this model's id register, those of texts from model 1's",
    )
    max_span: int = Field(default=MAX_SPAN, ge=1, le=MAX_SPAN, description="most registers in a read")
    barriers: tuple[Address, ...] = Field(default=(), description="addresses that no read may cross")
    max_gap: int = Field(
        default=WORTH_BRIDGING,
        ge=0,
        le=MAX_SPAN,
        description="longest hole between points that is read along",
    )
    length_multiple: int = Field(
        default=1, ge=1, le=8, description="the number of registers in a read is a multiple of this"
    )
    start_multiple: int = Field(
        default=1, ge=1, le=8, description="a read starts at a wire address that is a multiple of this"
    )
    one_request_per_point: bool = Field(default=False, description="true = never read two points together")
    readable: tuple[tuple[Address, Address], ...] = Field(
        default=(), description="first and last address of each range that can be read; empty = not known"
    )
    pause_after_connect_s: Pause = Field(default=0.0, description="from the connection to the first request")
    pause_between_requests_s: Pause = Field(default=0.0, description="from an answer to the next request")
    close_after_sweep: bool = Field(default=False, description="true = close the connection after every poll")
    in_flight: int = Field(
        default=1,
        ge=1,
        le=16,
        description="requests that the device, or the gateway before it, takes at a time on a TCP connection",
    )

    def rules(self) -> ReadRules:
        """What the device lets itself be asked for, in wire addresses."""
        base = self.address_base
        return ReadRules(
            max_span=self.max_span,
            barriers=tuple(sorted(barrier - base for barrier in self.barriers)),
            max_gap=self.max_gap,
            length_multiple=self.length_multiple,
            start_multiple=self.start_multiple,
            one_request_per_point=self.one_request_per_point,
            readable=tuple((first - base, last - base) for first, last in self.readable),
        )


class PointTable(Table):
    """A row of `[[points]]`: a register (address, type) or a field of a message."""

    name: Name = Field(description="power, energy_import … reach the site table; any other name is for probe")
    address: Address | None = Field(default=None, description="of its first register; see address_base")
    type: WordType | None = Field(default=None, description="type of the raw value")
    function: Literal[3, 4] | None = Field(default=None, description="if not as in [modbus]")
    word_order: WordOrder | None = Field(default=None, description="if not as in [modbus]")
    sentinel: int | None = Field(
        default=None, ge=0, description='raw value, read as unsigned, that means "not available"'
    )
    topic: Name | None = Field(default=None, description="of an MQTT device: name of its topic; else state")
    field: str | None = Field(
        default=None,
        description='of an MQTT device: path in its JSON, as a.b, a[3].b or "a.b".c',
    )
    text: bool = Field(default=False, description="true = the JSON has the number as a string")
    words: dict[str, float] | None = Field(
        default=None, min_length=1, description="what words, true and false stand for, in the point's unit"
    )
    scale: Scale = Field(default=1.0, description="raw value times this is the value in its unit")
    sign: Sign = Field(default=Sign.IMPORT, description="which direction of power is positive in the device")
    unit: Unit = Field(default="", description="of the scaled value; a known quantity has its own")
    times: Name | None = Field(default=None, description="point whose value multiplies this one")
    exponent: Name | None = Field(
        default=None, description="point whose value is the power of ten that multiplies this one"
    )
    plus: Name | None = Field(default=None, description="point whose value is added to this one")
    slow: bool = Field(default=False, description="true = read after each connection and then once a minute")


class TextTable(Table):
    """A row of `[[texts]]`: characters in registers."""

    name: Name = Field(description="any name that no point has")
    address: Address = Field(description="of its first register; see address_base")
    words: int = Field(ge=1, le=MAX_SPAN, description="registers, of two characters each")
    function: Literal[3, 4] | None = Field(default=None, description="if not as in [modbus]")


class IdentityTable(Table):
    """A row of `[[identity]]`: what must hold before the device is used or written."""

    point: Name = Field(description="name of a point or a text")
    values: tuple[float, ...] = Field(default=(), description="the point shows one of these")
    texts: tuple[str, ...] = Field(default=(), description="the text begins with one of these")
    minimum: float | None = Field(default=None, description="the point's value is not below this")
    maximum: float | None = Field(default=None, description="the point's value is not above this")


class VectorTable(Table):
    """A row of `[[vectors]]`: raw words of a point and the value that they mean."""

    point: Name = Field(description="name of a point or a text")
    words: tuple[Word, ...] = Field(min_length=1, description="registers in the order of the wire")
    value: float | None = Field(default=None, description="in the point's unit")
    text: str | None = Field(default=None, description="of a text")
    absent: bool = Field(default=False, description='true = these words mean "not available"')
    origin: Origin = Field(description="source = copied from the named source; derived = by type and scale")
    source: str = Field(min_length=1, description="which source, or how it was derived")

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if (self.value is not None) + (self.text is not None) + self.absent != 1:
            raise ValueError("say exactly one of value, text and absent = true")
        return self


class RegisterTable(Table):
    """`setpoint.point`."""

    address: Address = Field(description="of its first register; see address_base")
    type: WordType = Field(description="an integer type")
    word_order: WordOrder | None = Field(default=None, description="if not as in [modbus]")
    scale: Scale = Field(default=1.0, description="watts of one raw step")


class ReversionTable(Table):
    """`[setpoint.reversion]`: the device falls back by itself where it is not told again in time."""

    limit: RegisterTable | None = Field(
        default=None,
        description="the register that takes the limit it falls back to, in W; not given = it falls back to "
        "no limit",
    )
    timer: RegisterTable | None = Field(
        default=None, description="the register that takes after_s; not given = its time is fixed"
    )
    after_s: float = Field(ge=30, le=86_400, description="seconds from the last order until it falls back")


class OutletsTable(Table):
    """`[outlets]`: a PDU's outlets can be switched."""

    first: RegisterTable = Field(description="the register that switches outlet 1")
    count: int = Field(ge=1, le=999, description="how many outlets there are")
    stride: int = Field(default=1, ge=1, le=1000, description="registers from one outlet's to the next one's")
    on_value: int = Field(ge=0, description="raw value that switches it on")
    off_value: int = Field(ge=0, description="raw value that switches it off")


class SetpointTable(Table):
    """`[setpoint]`."""

    point: RegisterTable | None = Field(default=None, description="the register that takes the power limit")
    sleep_value: int | None = Field(default=None, ge=0, description="raw value for sleep")
    no_limit_value: int | None = Field(default=None, ge=0, description="raw value for no limit")
    command_topic: str | None = Field(
        default=None,
        pattern=r"^[^#+{}]*\{prefix\}[^#+{}]*$",
        description="where an MQTT device takes orders; {prefix} is its address",
    )
    payload: str | None = Field(
        default=None,
        pattern=r"\{watts\}",
        description="message that limits the power; {watts} is a whole number; not given = it is on or off",
    )
    sleep_payload: str | None = Field(default=None, description="message that puts it to sleep")
    no_limit_payload: str | None = Field(default=None, description="message that takes the limit away")
    acknowledged_by: Acknowledgement | None = Field(
        default=None,
        description="what shows that an MQTT device took an order: its read-back, its power, or nothing "
        "(sent); else its read-back if there is a point setpoint",
    )
    sleep_w: Watts = Field(description="what it draws asleep")
    floor_w: Watts = Field(gt=0, description="lowest power target that it accepts")
    ceiling_w: Watts = Field(gt=0, description="highest power target, its draw without a limit")
    step_w: Watts = Field(gt=0, description="distance of two power targets")
    latency_down_s: Duration = Field(
        description="95 % of the orders to draw less have taken effect after this"
    )
    latency_up_s: Duration = Field(description="95 % of the orders to draw more have taken effect after this")
    settle_s: Duration = Field(description="so long after an order it counts as commanded")
    min_off_s: Duration = Field(description="it stays asleep at least so long")
    restarts_on_write: bool = Field(description="true = every order restarts it")
    persistent: bool = Field(description="true = every order wears its flash")
    hard_off: bool = Field(description="true = its outlet may be switched off")
    writes_per_day: float | None = Field(
        default=None,
        ge=1,
        le=86_400,
        description="orders a day that it bears besides those that shed load, with those that feed its "
        "reversion timer; not given = 100 where an order wears its flash or restarts it, else any number",
    )
    reversion: ReversionTable | None = Field(
        default=None, description="it falls back to a limit by itself where it is not told again in time"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.sleep_w <= self.floor_w <= self.ceiling_w:
            raise ValueError("must hold: sleep_w <= floor_w <= ceiling_w")
        return self


class OperatingPointTable(Table):
    """A row of `[[operating_points]]`."""

    name: str = Field(min_length=1, description="what people call it")
    watts: Watts = Field(description="what it draws there; ascending")
    value: float = Field(ge=0, le=1, description="share of the full output, 0 to 1")


class Document(Table):
    """The file."""

    title: str = Field(min_length=1, description="vendor, models, and what is special")
    role: Role = Field(description="what the device is to the site; the configuration may say otherwise")
    trust: Trust = Field(description="how well it is founded")
    sources: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        min_length=1, description="documents and drivers that it was taken from"
    )
    nameplate_w: Watts = Field(description="rated power of a load; 0 for what only measures")
    period_s: float = Field(
        ge=0.1, le=3600, description="polling period unless the configuration says otherwise"
    )
    output: OutputTable | None = Field(default=None, description="what a load produces")
    modbus: ModbusTable | None = Field(default=None, description="how a Modbus device is read")
    mqtt: MqttTable | None = Field(default=None, description="how an MQTT device is heard")
    warning: str = Field(default="", description="what an operator should know before relying on it")
    points: tuple[PointTable, ...] = Field(min_length=1, description="its values")
    texts: tuple[TextTable, ...] = Field(default=(), description="characters in registers")
    identity: tuple[IdentityTable, ...] = Field(
        default=(), description="all must hold before the device is used or written"
    )
    vectors: tuple[VectorTable, ...] = Field(default=(), description="raw words and what they mean, as tests")
    message_vectors: tuple[MessageVectorTable, ...] = Field(
        default=(), description="messages of an MQTT device and what they mean, as tests"
    )
    setpoint: SetpointTable | None = Field(default=None, description="how a load is told to draw less")
    outlets: OutletsTable | None = Field(default=None, description="how a PDU's outlets are switched")
    operating_points: tuple[OperatingPointTable, ...] = Field(
        default=(), description="ways to run a load, from sleep to full"
    )
