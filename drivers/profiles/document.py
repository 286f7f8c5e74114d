"""The TOML form of a device profile as strict models: what each table may say by itself."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.profile import OutputKind, Role, Trust, WordOrder, WordType

MAX_SPAN = 125
"""Registers that one Modbus read can carry."""


class Table(BaseModel):
    """A table of the file: no key that nobody knows, no infinity."""

    # Not `strict`: TOML writes 3500 where a float is meant, and enumerations as strings.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OutputTable(Table):
    """`[output]`."""

    kind: OutputKind
    full: float = Field(gt=0)


class ModbusTable(Table):
    """`[modbus]`."""

    function: Literal[3, 4]
    word_order: WordOrder
    max_span: int = Field(default=MAX_SPAN, ge=1, le=MAX_SPAN)
    barriers: tuple[int, ...] = ()


class MqttTable(Table):
    """`[mqtt]`."""

    state_topic: str = Field(pattern=r"^\{prefix\}/[^#+]+$")
    period_s: float = Field(gt=0)


class PointTable(Table):
    """A row of `[[points]]`: a register (address, type) or a field of a message."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    address: int | None = Field(default=None, ge=0, le=0xFFFF)
    type: WordType | None = None
    function: Literal[3, 4] | None = None
    word_order: WordOrder | None = None
    sentinel: int | None = Field(default=None, ge=0)
    field: str | None = Field(default=None, pattern=r"^[^.]+(\.[^.]+)*$")
    scale: float = Field(default=1.0, gt=0)


class RegisterTable(Table):
    """`setpoint.point`."""

    address: int = Field(ge=0, le=0xFFFF)
    type: WordType
    word_order: WordOrder | None = None
    scale: float = Field(default=1.0, gt=0)


class SetpointTable(Table):
    """`[setpoint]`."""

    point: RegisterTable | None = None
    sleep_value: int | None = Field(default=None, ge=0)
    no_limit_value: int | None = Field(default=None, ge=0)
    command_topic: str | None = Field(default=None, pattern=r"^\{prefix\}/[^#+]+$")
    payload: str | None = Field(default=None, pattern=r"\{watts\}")
    sleep_payload: str | None = None
    no_limit_payload: str | None = None
    sleep_w: float = Field(ge=0)
    floor_w: float = Field(gt=0)
    ceiling_w: float = Field(gt=0)
    step_w: float = Field(gt=0)
    latency_down_s: float = Field(ge=0)
    latency_up_s: float = Field(ge=0)
    settle_s: float = Field(ge=0)
    min_off_s: float = Field(ge=0)
    restarts_on_write: bool
    persistent: bool
    hard_off: bool

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.sleep_w <= self.floor_w <= self.ceiling_w:
            raise ValueError("must hold: sleep_w <= floor_w <= ceiling_w")
        return self


class OperatingPointTable(Table):
    """A row of `[[operating_points]]`."""

    name: str = Field(min_length=1)
    watts: float = Field(ge=0)
    value: float = Field(ge=0, le=1)


class Document(Table):
    """The file."""

    title: str = Field(min_length=1)
    role: Role
    trust: Trust
    sources: tuple[str, ...] = Field(min_length=1)
    nameplate_w: float = Field(ge=0)
    period_s: float = Field(gt=0)
    output: OutputTable | None = None
    modbus: ModbusTable | None = None
    mqtt: MqttTable | None = None
    points: tuple[PointTable, ...] = Field(min_length=1)
    setpoint: SetpointTable | None = None
    operating_points: tuple[OperatingPointTable, ...] = ()
