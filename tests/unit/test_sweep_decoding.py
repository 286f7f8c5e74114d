"""A whole sweep decoded at once gives what the points give one by one."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.codec import combined, decode_words
from drivers.modbus.sweep import SweepPlan
from drivers.profile import ModbusMap, Profile, RegisterPoint, WordOrder, WordType
from drivers.profiles import load_profile, parse_profile, profile_names
from drivers.quantity import Quantity

MODBUS = [p for name in profile_names() if isinstance((p := load_profile(name)).map, ModbusMap)]


def raw(plan: SweepPlan, registers: dict[int, int]) -> bytes:
    return b"".join(
        struct.pack(f">{block.length}H", *(registers.get(block.address + i, 0) for i in range(block.length)))
        for block in plan.blocks
    )


def decoded(plan: SweepPlan, *rows: bytes) -> list[dict[Quantity, float | None]]:
    """Of several devices."""
    found = plan.decode(np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), plan.size))
    columns = {quantity: column.tolist() for quantity, column in found.items()}
    return [
        {quantity: None if math.isnan(column[row]) else column[row] for quantity, column in columns.items()}
        for row in range(len(rows))
    ]


def sweep(plan: SweepPlan, registers: dict[int, int]) -> dict[Quantity, float | None]:
    return decoded(plan, raw(plan, registers))[0]


def plan_of(profile: Profile) -> SweepPlan:
    assert isinstance(profile.map, ModbusMap)
    return SweepPlan(profile.map, profile.setpoint)


@given(st.sampled_from(MODBUS), st.data())
def test_every_profile_decodes_as_its_points_do(profile: Profile, data: st.DataObject) -> None:
    plan = plan_of(profile)
    assert isinstance(profile.map, ModbusMap)
    word = st.sampled_from((0, 1, 0x7FC0, 0x7FFF, 0x8000, 0xFFFF)) | st.integers(0, 0xFFFF)
    addresses = [block.address + index for block in plan.blocks for index in range(block.length)]
    registers = {address: data.draw(word) for address in addresses}
    values = sweep(plan, registers)
    wanted = [point for point in profile.map.points if point.quantity is not None]
    assert set(values) == {point.quantity for point in wanted}
    points = {point.name: point for point in profile.map.points}

    def alone(point: RegisterPoint) -> float | None:
        return decode_words(point, [registers[point.address + i] for i in range(point.type.words)])

    for point in wanted:
        others = {name: alone(points[name]) for name in point.others}
        assert point.quantity is not None
        if point.quantity is not Quantity.SETPOINT:
            assert values[point.quantity] == combined(point, alone(point), others)


@given(st.lists(st.integers(0, 0xFFFF), min_size=12, max_size=12))
def test_low_word_first(words: list[int]) -> None:
    kinds = {
        "power": WordType.S32,
        "energy_import": WordType.U64,
        "hashrate": WordType.F32,
        "serial": WordType.U16,
    }
    points, address = [], 1
    for name, kind in kinds.items():
        points.append(RegisterPoint(name, address, kind, 3, WordOrder.LITTLE, 0.5, 0))
        address += kind.words
    values = sweep(SweepPlan(ModbusMap(tuple(points)), None), dict(enumerate(words)))
    for point in points:
        assert values[Quantity(point.name)] == decode_words(
            point, words[point.address : point.address + point.type.words]
        )


@pytest.mark.parametrize(
    ("name", "words", "watts"),
    [
        ("sim-miner", (0, 0), 0.0),
        ("sim-miner", (0xFFFF, 0xFFFF), 3500.0),
        ("sim-miner", (0, 2000), 2000.0),
        ("sim-miner-m60s", (0,), 0.0),
        ("sim-miner-m60s", (100,), 3430.0),
        ("sim-miner-m60s", (50,), 1715.0),
    ],
)
def test_a_set_point_is_read_back_in_watts(name: str, words: tuple[int, ...], watts: float) -> None:
    values = sweep(plan_of(load_profile(name)), {16 + index: word for index, word in enumerate(words)})
    assert values[Quantity.SETPOINT] == pytest.approx(watts)


@pytest.mark.parametrize(
    ("power_of_ten", "watts"), [(0, 7.0), (10, 7e10), (-10, 7e-10), (11, None), (-11, None), (300, None)]
)
def test_a_power_of_ten_that_is_none_makes_no_value(power_of_ten: int, watts: float | None) -> None:
    points = (
        RegisterPoint("power", 0, WordType.U16, 3, WordOrder.BIG, exponent="sf"),
        RegisterPoint("sf", 1, WordType.S16, 3, WordOrder.BIG),
    )
    values = sweep(SweepPlan(ModbusMap(points), None), {0: 7, 1: power_of_ten & 0xFFFF})
    assert values[Quantity.POWER] == (watts if watts is None else pytest.approx(watts))


def test_only_what_reaches_the_site_table_is_polled() -> None:
    # Outlets and frequency are for a probe; they cost nothing every second.
    assert [tuple(block) for block in plan_of(load_profile("sim-pdu")).blocks] == [(3, 0, 12)]
    assert [tuple(block) for block in plan_of(load_profile("schneider-pm5340")).blocks] == [
        (3, 3059, 2),
        (3, 3203, 4),
    ]


def test_both_functions_of_a_mixed_map_are_asked() -> None:
    text = """
title = "T"
role = "site-meter"
trust = "simulated"
sources = ["s"]
nameplate_w = 0
period_s = 1.0
[modbus]
function = 4
word_order = "little"
[[points]]
name = "power"
address = 0
type = "s32"
[[points]]
name = "serial"
address = 0
function = 3
word_order = "big"
type = "u32"
"""
    plan = plan_of(parse_profile("t", text, "t.toml"))
    assert [tuple(block) for block in plan.blocks] == [(3, 0, 2), (4, 0, 2)]
    assert sweep(plan, {0: 1, 1: 2}) == {Quantity.POWER: 131073.0, Quantity.SERIAL: 65538.0}
