"""The registers of all devices of a kind as bytes: what is shown, what is read of it, what is refused."""

import math
import struct
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from drivers.modbus.codec import encode_value
from drivers.profile import ModbusMap, Profile, ReadRules, RegisterPoint, WordOrder, WordType
from drivers.profiles import load_profile
from sim_devices.faults import DeviceFaults
from sim_devices.instruments import Reader, Values
from sim_devices.modbus.endpoint import MOST_PLANS, Endpoint
from sim_devices.modbus.frames import ModbusRefusal, Request
from sim_devices.modbus.image import Image
from sim_devices.modbus.unit import Unit
from sim_devices.physics import PlantModel

MINER = load_profile("sim-miner")


class Column:
    """Shows one point of several devices, and takes what is written."""

    def __init__(self, values: list[float], point: str = "power") -> None:
        self.values: Values = np.array(values)
        self.count = len(values)
        self.readers: Mapping[str, Reader] = {point: lambda rows: self.values[rows]}

    def write(self, row: int, point: str, value: float | None) -> bool:
        if point not in self.readers or value is None:
            return False
        self.values[row] = value
        return True


def profile_of(point: RegisterPoint) -> Profile:
    return replace(MINER, map=ModbusMap((point,)), setpoint=None)


def point_of(kind: WordType, **more: object) -> RegisterPoint:
    given = {"name": "power", "address": 7, "function": 3, "word_order": WordOrder.BIG, **more}
    return RegisterPoint(type=kind, **given)  # type: ignore[arg-type]  # the options pass through


def words_of(image: Image, row: int) -> tuple[int, ...]:
    raw = image.row(row)
    return struct.unpack(f">{len(raw) // 2}H", raw)


def test_a_row_that_was_written_in_between_goes_back_to_what_all_showed_before() -> None:
    column = Column([100.0, 200.0])
    image = Image(profile_of(point_of(WordType.U16)), column)
    image.refresh()
    column.values[1] = 300.0
    image.refresh_row(1, "power")
    assert words_of(image, 1) == (300,)
    column.values[1] = 200.0
    image.refresh()
    assert words_of(image, 1) == (200,)
    column.values[0] = 50.0
    image.refresh()
    assert words_of(image, 0) == (50,)


@pytest.mark.parametrize("order", WordOrder)
@pytest.mark.parametrize("kind", WordType)
def test_a_column_shows_what_the_codec_makes_of_each_value(kind: WordType, order: WordOrder) -> None:
    signed = kind[0] in "sf"
    values = [0.0, 1.0, 2.5, 77.0, 3001.4, *([-5.0, -3000.0] if signed else [])]
    point = point_of(kind, word_order=order, scale=0.5)
    image = Image(profile_of(point), Column(values))
    for row, value in enumerate(values):
        assert words_of(image, row) == encode_value(point, value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (WordType.U16, 65_536.0),
        (WordType.U16, -1.0),
        (WordType.S16, 32_768.0),
        (WordType.U32, 2.0**32),
        (WordType.U64, 2.0**64),
        (WordType.S64, 2.0**63),
        (WordType.F32, 1e39),
        (WordType.U16, math.inf),
        (WordType.U16, math.nan),
    ],
)
def test_what_a_point_cannot_say_is_an_error_and_never_wraps_around(kind: WordType, value: float) -> None:
    with pytest.raises(ValueError, match="power"):
        Image(profile_of(point_of(kind)), Column([1.0, value])).refresh()


def test_not_available_is_the_sentinel_and_nothing_else_is() -> None:
    point = point_of(WordType.U32, sentinel=0xFFFF_FFFF)
    image = Image(profile_of(point), Column([5.0, math.nan]))
    assert [words_of(image, row) for row in (0, 1)] == [(0, 5), (0xFFFF, 0xFFFF)]
    with pytest.raises(ValueError, match="not available"):
        Image(profile_of(point), Column([float(0xFFFF_FFFF)])).refresh()


def test_a_signed_sentinel_is_none_of_its_neighbours() -> None:
    point = point_of(WordType.S16, sentinel=0x8000)
    image = Image(profile_of(point), Column([math.nan, -32_767.0, 32_767.0]))
    assert [words_of(image, row) for row in range(3)] == [(0x8000,), (0x8001,), (0x7FFF,)]
    with pytest.raises(ValueError, match="not available"):
        Image(profile_of(point), Column([1.0, -32_768.0])).refresh()


@pytest.mark.parametrize("name", ["sim-miner", "sim-miner-m60s"])
def test_a_set_point_has_words_of_its_own_for_sleep_and_for_no_limit(name: str) -> None:
    profile = load_profile(name)
    assert profile.setpoint is not None
    ceiling_w, floor_w = profile.setpoint.ceiling_w, profile.setpoint.floor_w
    for shown in ([math.nan, 0.0], [math.nan, 0.0, floor_w, ceiling_w]):
        image = Image(profile, Column(shown, "setpoint"))
        for row, watts in enumerate(shown):
            at, raw = image.setpoint(None if math.isnan(watts) else watts) or (0, b"")
            assert image.row(row)[at : at + len(raw)] == raw
    assert len({bytes(image.row(row)) for row in range(3)}) == 3


def test_a_row_is_brought_up_to_date_alone_after_a_write_and_all_of_them_when_stale() -> None:
    column = Column([1.0, 2.0, 3.0])
    image = Image(profile_of(point_of(WordType.U16)), column)
    units = [Unit(image, row, DeviceFaults("d", PlantModel(()))) for row in range(3)]
    assert [words_of(image, row) for row in range(3)] == [(1,), (2,), (3,)]
    column.values[2] = 30.0
    assert units[1].answer(Request(1, 1, struct.pack(">BHH", 6, 7, 20))) == struct.pack(">BHH", 6, 7, 20)
    assert [words_of(image, row) for row in range(3)] == [(1,), (20,), (3,)]
    image.stale = True
    assert [words_of(image, row) for row in range(3)] == [(1,), (20,), (30,)]


@pytest.mark.parametrize(
    ("function", "address", "count", "code"),
    [(3, 7, 0, 3), (3, 7, 126, 3), (3, 6, 1, 2), (3, 7, 3, 2), (3, 9, 1, 2), (4, 7, 1, 1)],
)
def test_what_cannot_be_read_is_refused(function: int, address: int, count: int, code: int) -> None:
    image = Image(profile_of(point_of(WordType.U32)), Column([1.0]))
    with pytest.raises(ModbusRefusal) as refused:
        image.span(function, address, count)
    assert refused.value.code == code


def test_no_read_crosses_a_barrier() -> None:
    points = tuple(point_of(WordType.U16, name=f"p{place}", address=place) for place in range(4))
    barred = replace(MINER, map=ModbusMap(points, ReadRules(barriers=(2,))), setpoint=None)
    image = Image(barred, Column([1.0]))
    assert image.span(3, 0, 2) == (0, 4)
    assert image.span(3, 2, 2) == (4, 8)
    with pytest.raises(ModbusRefusal):
        image.span(3, 1, 2)


def test_a_client_that_asks_for_ever_other_things_does_not_fill_the_memory() -> None:
    image = Image(profile_of(point_of(WordType.U16)), Column([1.0] * 247))
    faults = [DeviceFaults("d", PlantModel(())) for _ in range(247)]
    endpoint = Endpoint("127.0.0.1", {row + 1: Unit(image, row, faults[row]) for row in range(247)})
    for transaction in range(3):
        for unit, served in endpoint.units.items():
            asked = struct.pack(">HHHBBHH", transaction, 0, 6, unit, 3, 7 - transaction, 1)
            endpoint.remember(asked, served, 0, 2)
            assert len(endpoint.plans) <= MOST_PLANS


def test_who_has_a_fault_is_not_answered_from_the_image() -> None:
    image = Image(profile_of(point_of(WordType.U16)), Column([1.0]))
    faults = DeviceFaults("d", PlantModel(()))
    endpoint = Endpoint("127.0.0.1", {1: Unit(image, 0, faults)})
    endpoint.remember(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 7, 1), endpoint.units[1], 0, 2)
    assert (len(endpoint.plans), faults.sound) == (1, True)
    faults.latency_s = 1.0
    assert (len(endpoint.plans), faults.sound) == (0, False)
    faults.clear()
    assert (len(endpoint.plans), faults.sound) == (0, True)
