"""The walk over a SunSpec device's models: whatever it is given, it ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.sunspec import BASES, MOST_MODELS, SunSpecWalk, located, location_problem, walk
from drivers.profile import ModbusMap
from drivers.profiles import load_profile

SUNS = [0x5375, 0x6E53]


def device(*models: tuple[int, int], ending: tuple[int, ...] = (0xFFFF, 0)) -> list[int]:
    words = list(SUNS)
    for model, length in models:
        words += [model, length, *([0x1234] * length)]
    return [*words, *ending]


def test_every_model_is_found_at_its_id_register() -> None:
    found = walk(device((1, 66), (203, 105), (64_001, 3), (203, 105)), first=40_000)

    assert found.problem is None
    assert found.found == {1: 40_002, 203: 40_070, 64_001: 40_177}


@pytest.mark.parametrize("base", BASES)
def test_the_map_is_looked_for_at_three_addresses(base: int) -> None:
    step, asked = SunSpecWalk(), []
    registers = dict(enumerate(device((1, 65)), start=base))
    while True:
        asked.append(step.want.address)
        address = step.want.address
        # What is not there is refused by one device and 0 in another.
        there = [registers.get(address + offset, 0) for offset in range(2)]
        if step.take(there if any(there) or base == 0 else None):
            break
    assert step.found == {1: base + 2}
    assert asked[: BASES.index(base) + 1] == list(BASES[: BASES.index(base) + 1])


@pytest.mark.parametrize(
    ("words", "first", "problem"),
    [
        ([0] * 100, 40_000, "no SunSpec map at 40000, 0, 50000"),
        (device((1, 66), ending=()), 40_000, "the map cannot be read at 40070"),
        (device((1, 66), ending=(7, 0)), 40_000, "model 7 at 40070 has a length of 0"),
        (device((1, 66), ending=(7, 60_000)), 40_000, "model 7 at 40070 has a length of 60000"),
        (device(*[(7, 1)] * 200), 0, f"more than {MOST_MODELS} models"),
    ],
)
def test_a_map_that_is_none_is_told(words: list[int], first: int, problem: str) -> None:
    assert walk(words, first).problem == problem


@given(st.lists(st.integers(0, 0xFFFF), max_size=300), st.sampled_from(([], SUNS)))
def test_any_registers_end_the_walk_inside_them(words: list[int], start: list[int]) -> None:
    words = start + words
    found = walk(words, 40_000)
    for model, address in found.found.items():
        assert words[address - 40_000] == model


@given(
    st.lists(st.none() | st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)), min_size=80, max_size=80)
)
def test_any_answers_end_the_walk_soon(answers: list[tuple[int, int] | None]) -> None:
    step = SunSpecWalk()
    assert step.take(SUNS) is False
    assert any(step.take(answer) for answer in answers)


def test_the_map_of_the_profile_is_moved_to_where_the_model_is() -> None:
    profile = load_profile("sunspec-meter-203").map
    assert isinstance(profile, ModbusMap)
    found = walk(device((1, 66), (203, 105)), first=40_000)
    here = located(profile, found)

    assert {point.name: point.address for point in here.points}["power"] == 40_088
    assert {text.name: text.address for text in here.texts}["serial_number"] == 40_052
    assert here.sunspec_model is None
    assert located(profile, walk(device((203, 105)), 0)).texts == ()


def test_another_model_than_the_profiles_is_named() -> None:
    profile = load_profile("sunspec-meter-213").map
    assert isinstance(profile, ModbusMap)

    wrong = location_problem(profile, walk(device((1, 66), (203, 105)), 40_000))
    assert wrong == "SunSpec models 1, 203 were found, not 213"
    assert location_problem(profile, walk(device(), 0)) == "an empty SunSpec map"
    assert location_problem(profile, walk(device((213, 124)), 0)) is None
