"""The registers of many devices in one matrix: each value in its own row and column, absent until it came."""

import struct

import numpy as np
import pytest

from drivers.modbus import raw_words
from drivers.modbus.raw_words import RawWords
from drivers.modbus.sweep import Floats, SweepPlan
from drivers.profile import ModbusMap, RegisterPoint, WordOrder, WordType
from drivers.quantity import COLUMN, QUANTITIES, Quantity

POWER, ENERGY = COLUMN[Quantity.POWER], COLUMN[Quantity.ENERGY_IMPORT]


def point(name: str, address: int, **how: str) -> RegisterPoint:
    return RegisterPoint(name, address, WordType.U16, 3, WordOrder.BIG, **how)  # type: ignore[arg-type]  # names


# Two blocks, and the power depends on a point of the second.
PLAN = SweepPlan(
    ModbusMap((point("power", 0, times="factor"), point("energy_import", 100), point("factor", 101))), None
)


def table(rows: int) -> Floats:
    return np.full((rows, len(QUANTITIES)), -1.0)


def test_a_row_is_absent_until_it_is_filled_and_lands_where_its_device_is() -> None:
    raw, values = RawWords(PLAN, [4, 2]), table(6)
    raw.row(0)[:] = struct.pack(">3H", 7, 8, 3)
    raw.filled(0)
    raw.decode_into(values)
    assert values[4, [POWER, ENERGY]].tolist() == [21, 8]
    assert np.isnan(values[2, [POWER, ENERGY]]).all()
    # Nobody else's row or column is touched.
    values[[4, 2]] = -1
    assert (np.delete(values, [4, 2], axis=0) == -1).all()
    raw.row(1)[:] = struct.pack(">3H", 1, 2, 3)
    raw.filled(1)
    raw.decode_into(values)
    assert values[2].tolist() == [3, 2, -1, -1, -1, -1]


def test_a_device_goes_on_in_another_matrix_with_all_it_had() -> None:
    before, after, values = RawWords(PLAN, [0, 1, 2]), RawWords(PLAN, [5, 3, 4]), table(6)
    for index, first in enumerate((7, 9)):
        before.row(index)[:] = struct.pack(">3H", first, 8, 3)
        before.filled(index)
    before.refuse(1, [1])
    after.adopt(2, before, 0)
    after.adopt(0, before, 1)
    after.adopt(1, before, 2)
    after.decode_into(values)
    assert values[4, [POWER, ENERGY]].tolist() == [21, 8]
    assert np.isnan(values[5, [POWER, ENERGY]]).all()
    assert np.isnan(values[3, [POWER, ENERGY]]).all()
    # The same devices in other rows: nothing is decoded for that.
    after.number([0, 1, 2])
    values[:] = -1
    after.decode_into(values)
    assert (values == -1).all()
    after.filled(0)
    after.decode_into(values)
    assert values[2, [POWER, ENERGY]].tolist() == [21, 8]


def test_nothing_is_decoded_that_has_not_changed() -> None:
    raw, values = RawWords(PLAN, [0]), table(1)
    raw.filled(0)
    raw.decode_into(values)
    values[:] = 5
    raw.decode_into(values)
    assert (values == 5).all()


def test_what_depends_on_a_block_that_is_refused_is_absent_until_it_is_not_refused() -> None:
    raw, values = RawWords(PLAN, [0, 1]), table(2)
    for index in (0, 1):
        raw.row(index)[:] = struct.pack(">3H", 7, 8, 3)
        raw.filled(index)
    raw.refuse(1, {1})
    raw.decode_into(values)
    assert values[0, [POWER, ENERGY]].tolist() == [21, 8]
    assert np.isnan(values[1, [POWER, ENERGY]]).all()
    assert PLAN.lost_with(0) == {Quantity.POWER}
    assert PLAN.lost_with(1) == {Quantity.POWER, Quantity.ENERGY_IMPORT}
    raw.refuse(1, {0})
    raw.decode_into(values)
    assert np.isnan(values[1, POWER])
    assert values[1, ENERGY] == 8
    raw.refuse(1, ())
    raw.decode_into(values)
    assert values[1, [POWER, ENERGY]].tolist() == [21, 8]


def test_many_are_decoded_in_parts_with_the_same_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_words, "CHUNK", 7)
    raw, values = RawWords(PLAN, range(20)), table(20)
    for index in range(20):
        raw.row(index)[:] = struct.pack(">3H", index, index + 1, 2)
        if index != 13:
            raw.filled(index)
    raw.refuse(15, {0})
    raw.decode_into(values)
    power, energy = values[:, POWER], values[:, ENERGY]
    absent = {13, 15}
    assert [row for row in range(20) if np.isnan(power[row])] == sorted(absent)
    assert all(power[row] == 2 * row for row in range(20) if row not in absent)
    assert all(energy[row] == row + 1 for row in range(20) if row != 13)


def test_a_device_that_keeps_its_registers_elsewhere_is_decoded_alike() -> None:
    moved = ModbusMap(
        (point("power", 500, times="factor"), point("energy_import", 600), point("factor", 601))
    )
    assert PLAN.located(moved) == ((3, 500, 1), (3, 600, 2))
