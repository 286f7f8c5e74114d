"""Whatever stands in a profile: it is refused with file and key, or it can be polled and ordered."""

import copy
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import ProfileError
from drivers.modbus.codec import decode_words
from drivers.modbus.identity import IdentityPlan
from drivers.modbus.planning import Block
from drivers.modbus.sweep import SweepPlan
from drivers.profile import ModbusMap, Profile, RegisterCommand, RegisterPoint, Setpoint
from drivers.profiles.parsing import parse_profile
from drivers.setpoint import command_words, effective_watts
from tests.world.profile_texts import LOAD

FURTHER = """
[[points]]
name = "setpoint"
address = 20
type = "u16"
[[points]]
name = "voltage"
address = 30
type = "u16"
unit = "V"
scale = 0.1
[[points]]
name = "hashrate"
address = 40
type = "f32"
function = 4
times = "voltage"
slow = true
"""
RULES = {
    "address_base": 0,
    "max_span": 125,
    "barriers": [60],
    "max_gap": 31,
    "length_multiple": 1,
    "start_multiple": 1,
    "readable": [[0, 59], [60, 300]],
    "one_request_per_point": False,
    "in_flight": 1,
}
GOOD: dict[str, Any] = tomllib.loads(LOAD + FURTHER)
GOOD["modbus"] |= RULES

Place = tuple[str | int, ...]


def places(table: Any, at: Place = ()) -> Iterator[Place]:
    """Every key of a document."""
    members: Iterable[tuple[str | int, Any]] = ()
    if isinstance(table, dict):
        members = table.items()
    elif isinstance(table, list):
        members = enumerate(table)
    for key, value in members:
        yield (*at, key)
        yield from places(value, (*at, key))


PLACES = list(places(GOOD))
NUMBERS = st.one_of(
    st.integers(-2, 130),
    st.integers(0, 0x10001),
    st.sampled_from([2**31, 2**32 - 1, 2**32, 2**63, 2**64, 10**30]),
    st.floats(),
    st.sampled_from([0.1, 0.5, 10.5, 333.3, 1e-300, 1e300]),
)
WORDS = st.sampled_from(
    [
        "u16",
        "s16",
        "u32",
        "s32",
        "u64",
        "s64",
        "f32",
        "f64",
        "u24",
        "little",
        "export",
        "power",
        "model",
        "voltage",
        "setpoint",
        "site-meter",
        "ACME!",
        "W",
        "V",
        "500",
    ]
)
OTHERS = st.sampled_from([True, False, "", [], [[0, 9]], [[9, 0]], [1, 2], {}])
CHANGES = st.lists(
    st.tuples(st.sampled_from(PLACES), st.one_of(NUMBERS, NUMBERS, WORDS, OTHERS, st.none())),
    min_size=1,
    max_size=3,
)


def changed(changes: list[tuple[Place, Any]]) -> dict[str, Any]:
    """The document with other values; `None` takes a key away."""
    document = copy.deepcopy(GOOD)
    for place, value in changes:
        table = document
        try:
            for key in place[:-1]:
                table = table[key]  # type: ignore[index] # keys fit their tables until one is replaced
            if value is None:
                del table[place[-1]]  # type: ignore[arg-type]
            else:
                table[place[-1]] = copy.deepcopy(value)  # type: ignore[index]
        except (IndexError, KeyError, TypeError):
            continue  # an earlier change took it away
    return document


def test_what_is_changed_is_good() -> None:
    profile = parse_profile("t", toml(GOOD), "t.toml")

    assert len(PLACES) > 80
    usable(profile)


@settings(max_examples=300)
@given(CHANGES)
def test_a_profile_is_refused_or_usable(changes: list[tuple[Place, Any]]) -> None:
    try:
        profile = parse_profile("t", toml(changed(changes)), "t.toml")
    except ProfileError as error:
        refusal = str(error)
    else:
        usable(profile)
        return
    assert all(re.match(r"t\.toml: \S+.*: ", line) for line in refusal.splitlines()), refusal


def usable(profile: Profile) -> None:
    """It can be asked for, understood, identified and ordered."""
    register_map = profile.map
    assert isinstance(register_map, ModbusMap)
    for slow in (False, True):
        within(register_map, SweepPlan(register_map, profile.setpoint, slow=slow).blocks)
    if register_map.identity:
        within(register_map, IdentityPlan(register_map).blocks)
    for point in register_map.points:
        for word in (0, 0x7FFF, 0xFFFF):
            decode_words(point, [word] * point.type.words)
    if profile.setpoint is not None:
        orderable(profile, register_map, profile.setpoint)


def within(register_map: ModbusMap, blocks: tuple[Block, ...]) -> None:
    rules = register_map.reads
    for _, address, length in blocks:
        end = address + length
        assert 1 <= length <= rules.max_span <= 125
        assert 0 <= address < end <= 0x10000
        assert not any(address < barrier < end for barrier in rules.barriers)
        assert not rules.readable or any(low <= address < end <= high + 1 for low, high in rules.readable)


def orderable(profile: Profile, register_map: ModbusMap, setpoint: Setpoint) -> None:
    command = setpoint.command
    assert isinstance(command, RegisterCommand)
    asleep, free = command_words(setpoint, command, 0.0), command_words(setpoint, command, None)
    assert asleep != free
    targets = {setpoint.floor_w, *(point.watts for point in profile.operating_points[1:-1])}
    for watts in targets:
        words = command_words(setpoint, command, watts)
        assert words != asleep
        told = decode_words(command.point, words)
        assert told is not None
        assert abs(told - watts) <= 1e-6 * watts
        assert abs(effective_watts(setpoint, watts) - watts) <= 1e-6 * watts
    for text in register_map.texts:
        assert not overlap(command.point, text.address, text.words)
    for point in register_map.points:
        if overlap(command.point, point.address, point.type.words):
            # What was written is read back as what it means.
            assert decode_words(point, command_words(setpoint, command, setpoint.floor_w)) == setpoint.floor_w


def overlap(point: RegisterPoint, address: int, words: int) -> bool:
    return point.address < address + words and address < point.address + point.type.words


def toml(table: dict[str, Any]) -> str:
    """A document as inline tables, which JSON's spelling nearly is."""
    return "".join(f"{json.dumps(key)} = {inline(value)}\n" for key, value in table.items())


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {inline(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(inline(each) for each in value) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
