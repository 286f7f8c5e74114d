"""From the TOML of a device profile to the plain types of `drivers.profile`."""

import json
import tomllib
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from drivers.errors import ProfileError
from drivers.message_map import (
    MAIN_TOPIC,
    Acknowledgement,
    MessageVector,
    OnlineTopic,
    StateTopic,
)
from drivers.profile import (
    FieldPoint,
    IdentityCheck,
    MessageCommand,
    ModbusMap,
    MqttMap,
    OperatingPoint,
    OutletSwitches,
    Pacing,
    Profile,
    RegisterCommand,
    RegisterPoint,
    Reversion,
    Setpoint,
    TextPoint,
    Vector,
)
from drivers.profiles.document import (
    Document,
    ModbusTable,
    OutletsTable,
    PointTable,
    RegisterTable,
    ReversionTable,
    SetpointTable,
    Sign,
    VectorTable,
)
from drivers.profiles.message_tables import MessageVectorTable
from drivers.profiles.rules import mistakes
from drivers.quantity import QUANTITY_BY_NAME, UNIT, Quantity

_T = TypeVar("_T")

WORN_WRITES_PER_DAY = 100.0
"""A flash of 100,000 cycles lasts for three years."""


def parse_profile(name: str, text: str, file: str) -> Profile:
    """Read a profile.

    Args:
        name: the profile's name.
        text: the TOML.
        file: what to call it in messages.

    Raises:
        ProfileError: one line per mistake: file, key, what is wrong.
    """
    try:
        # As JSON: strict, so that no text and no true counts as a number, and yet words for enumerations.
        document = Document.model_validate_json(json.dumps(tomllib.loads(text), default=str), strict=True)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{file}: not TOML: {error}") from None
    except ValidationError as error:
        lines = [f"{file}: {_key(e['loc'])}: {e['msg']}" for e in error.errors()]
        raise ProfileError("\n".join(lines)) from None
    wrong = [f"{file}: {mistake}" for mistake in mistakes(document)]
    if wrong:
        raise ProfileError("\n".join(wrong))
    return _profile(name, document)


def _key(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location) or "(file)"


def _profile(name: str, document: Document) -> Profile:
    return Profile(
        name=name,
        title=document.title,
        role=document.role,
        trust=document.trust,
        sources=document.sources,
        nameplate_w=document.nameplate_w,
        period_s=document.period_s,
        map=_modbus_map(document, document.modbus) if document.modbus else _mqtt_map(document),
        setpoint=None if document.setpoint is None else _setpoint(document, document.setpoint),
        output=None if document.output is None else document.output.kind,
        output_full=0.0 if document.output is None else document.output.full,
        operating_points=tuple(
            OperatingPoint(point.name, point.watts, point.value) for point in document.operating_points
        ),
        warning=document.warning,
        vectors=tuple(_vector(table) for table in document.vectors),
        outlets=None if document.outlets is None else _outlets(document, document.outlets),
    )


def _modbus_map(document: Document, modbus: ModbusTable) -> ModbusMap:
    base = modbus.address_base
    points = tuple(
        RegisterPoint(
            name=point.name,
            address=_present(point.address) - base,
            type=_present(point.type),
            function=point.function or modbus.function,
            word_order=point.word_order or modbus.word_order,
            scale=point.scale if point.sign is Sign.IMPORT else -point.scale,
            sentinel=point.sentinel,
            unit=_unit(point),
            times=point.times,
            exponent=point.exponent,
            plus=point.plus,
            slow=point.slow,
        )
        for point in document.points
    )
    texts = tuple(
        TextPoint(text.name, text.address - base, text.words, text.function or modbus.function)
        for text in document.texts
    )
    pacing = Pacing(
        modbus.pause_after_connect_s,
        modbus.pause_between_requests_s,
        close_after_sweep=modbus.close_after_sweep,
    )
    identity = tuple(
        IdentityCheck(check.point, check.values, check.texts, check.minimum, check.maximum)
        for check in document.identity
    )
    return ModbusMap(points, modbus.rules(), texts, identity, pacing, modbus.in_flight, modbus.sunspec_model)


def _unit(point: PointTable) -> str:
    quantity = QUANTITY_BY_NAME.get(point.name)
    return UNIT[quantity] if quantity is not None else point.unit


def _vector(table: VectorTable) -> Vector:
    return Vector(
        table.point,
        table.words,
        None if table.absent else table.value if table.text is None else table.text,
        table.origin,
        table.source,
    )


def _mqtt_map(document: Document) -> MqttMap:
    mqtt = _present(document.mqtt)
    points = tuple(
        FieldPoint(
            name=point.name,
            field=point.field or "",
            scale=point.scale if point.sign is Sign.IMPORT else -point.scale,
            unit=_unit(point),
            topic=point.topic or MAIN_TOPIC,
            text=point.text,
            words=point.words,
        )
        for point in document.points
    )
    return MqttMap(
        points,
        mqtt.state_topic,
        mqtt.period_s,
        mqtt.format,
        tuple(StateTopic(row.name, row.topic, row.period_s, row.format) for row in mqtt.topics),
        None if mqtt.online is None else OnlineTopic(**mqtt.online.model_dump()),
        mqtt.delay_s,
        tuple(_message_vector(table) for table in document.message_vectors),
    )


def _message_vector(table: MessageVectorTable) -> MessageVector:
    values = {**table.values, **dict.fromkeys(table.absent)}
    return MessageVector(table.topic, table.payload, values, table.origin, table.source)


def _setpoint(document: Document, setpoint: SetpointTable) -> Setpoint:
    common: dict[str, Any] = setpoint.model_dump(
        exclude={
            "point",
            "sleep_value",
            "no_limit_value",
            "command_topic",
            "payload",
            "sleep_payload",
            "no_limit_payload",
            "acknowledged_by",
            "reversion",
        }
    )
    wears = setpoint.persistent or setpoint.restarts_on_write
    if wears and setpoint.writes_per_day is None:
        common["writes_per_day"] = WORN_WRITES_PER_DAY
    return Setpoint(
        command=_command(document, setpoint),
        reversion=None if setpoint.reversion is None else _reversion(document, setpoint.reversion),
        **common,
    )


def _reversion(document: Document, table: ReversionTable) -> Reversion:
    modbus = _present(document.modbus)
    limit = None if table.limit is None else _register("reversion", table.limit, modbus)
    timer = None if table.timer is None else _register("reversion_timer", table.timer, modbus)
    return Reversion(limit, timer, table.after_s)


def _outlets(document: Document, table: OutletsTable) -> OutletSwitches:
    first = _register("outlet", table.first, _present(document.modbus))
    return OutletSwitches(first, table.count, table.stride, table.on_value, table.off_value)


def _register(name: str, register: RegisterTable, modbus: ModbusTable) -> RegisterPoint:
    return RegisterPoint(
        name=name,
        address=register.address - modbus.address_base,
        type=register.type,
        function=modbus.function,
        word_order=register.word_order or modbus.word_order,
        scale=register.scale,
    )


def _command(document: Document, setpoint: SetpointTable) -> RegisterCommand | MessageCommand:
    if document.modbus is None:
        return MessageCommand(
            topic=_present(setpoint.command_topic),
            payload=setpoint.payload,
            sleep_payload=_present(setpoint.sleep_payload),
            no_limit_payload=_present(setpoint.no_limit_payload),
            acknowledged_by=setpoint.acknowledged_by or _acknowledgement(document),
        )
    return RegisterCommand(
        point=_register("setpoint", _present(setpoint.point), document.modbus),
        sleep_value=_present(setpoint.sleep_value),
        no_limit_value=_present(setpoint.no_limit_value),
    )


def _acknowledgement(document: Document) -> Acknowledgement:
    reads_back = any(point.name == Quantity.SETPOINT for point in document.points)
    return Acknowledgement.READ_BACK if reads_back else Acknowledgement.SENT


def _present(value: _T | None) -> _T:
    """A value that the checks above have shown to be there."""
    assert value is not None
    return value
