"""From an order in watts to what a device is told, and back. Pure."""

import math
from collections.abc import Iterator

from drivers.message_map import topic_of
from drivers.modbus.codec import encode_raw, encode_value
from drivers.profile import MessageCommand, OutletSwitches, RegisterCommand, Reversion, Setpoint

_ROUNDING = 1e-6
"""Share of a step by which a float may miss the step that it means."""


def effective_watts(setpoint: Setpoint, watts: float | None) -> float:
    """What a device really holds when ordered `watts`.

    0 = sleep, `None` = no limit, which is its ceiling; else the highest step at or below `watts`,
    but never below the floor: the device would ignore it.
    """
    if watts is None:
        return setpoint.ceiling_w
    if watts <= 0:
        return setpoint.sleep_w
    steps = math.floor((min(watts, setpoint.ceiling_w) - setpoint.floor_w) / setpoint.step_w + _ROUNDING)
    return setpoint.floor_w + max(steps, 0) * setpoint.step_w


def command_words(setpoint: Setpoint, command: RegisterCommand, watts: float | None) -> tuple[int, ...]:
    """The registers to write for an order; `watts` as in `Fleet.order`."""
    if watts is None:
        return encode_raw(command.point, command.no_limit_value)
    if watts <= 0:
        return encode_raw(command.point, command.sleep_value)
    return encode_value(command.point, effective_watts(setpoint, watts))


def outlet_words(outlets: OutletSwitches, *, on: bool) -> tuple[int, ...]:
    """The registers to write to switch an outlet."""
    return encode_raw(outlets.first, outlets.on_value if on else outlets.off_value)


def reversion_words(
    setpoint: Setpoint, command: RegisterCommand, reversion: Reversion, watts: float
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Address and registers of every write that arms a reversion timer; the timer comes last."""
    limit = reversion.limit
    if limit is not None and watts <= 0:
        yield limit.address, encode_raw(limit, command.sleep_value)
    elif limit is not None:
        yield limit.address, encode_value(limit, effective_watts(setpoint, watts))
    if reversion.timer is not None:
        yield reversion.timer.address, encode_value(reversion.timer, reversion.after_s)


def command_message(
    setpoint: Setpoint, command: MessageCommand, prefix: str, watts: float | None
) -> tuple[str, bytes]:
    """Topic and payload to publish for an order; `watts` as in `Fleet.order`."""
    if watts is not None and watts <= 0:
        payload = command.sleep_payload
    elif watts is None or command.payload is None:
        payload = command.no_limit_payload
    else:
        # Whole watts, rounded down: a limit must not be exceeded by the rounding of it.
        limit = math.floor(effective_watts(setpoint, watts) + _ROUNDING)
        payload = command.payload.replace("{watts}", str(limit))
    return topic_of(command.topic, prefix), payload.encode()
