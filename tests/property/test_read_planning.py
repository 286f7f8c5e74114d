"""The read planner, for any register map."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drivers.modbus.planning import Block, fitted, plan_reads
from drivers.profile import ReadRules, RegisterPoint, WordOrder, WordType


def point(address: int, kind: WordType, function: int = 3) -> RegisterPoint:
    return RegisterPoint("p", address, kind, function, WordOrder.BIG)


POINTS = st.lists(
    st.builds(point, st.integers(0, 300), st.sampled_from(WordType), st.sampled_from((3, 4))), max_size=40
)
BARRIERS = st.lists(st.integers(0, 300), max_size=5).map(tuple)


def torn(points: list[RegisterPoint], barriers: tuple[int, ...]) -> bool:
    return any(p.address < b < p.address + p.type.words for p in points for b in barriers)


@given(POINTS, st.integers(4, 125), BARRIERS, st.integers(0, 40))
def test_every_point_is_whole_in_a_legal_block(
    points: list[RegisterPoint], max_span: int, barriers: tuple[int, ...], bridge: int
) -> None:
    assume(not torn(points, barriers))
    blocks = plan_reads(points, ReadRules(max_span, barriers, bridge))
    for wanted in points:
        assert any(block.holds(wanted) for block in blocks)
    for block in blocks:
        assert 1 <= block.length <= max_span
        assert not any(block.address < b < block.address + block.length for b in barriers)
        covered = {
            address
            for p in points
            if p.function == block.function
            for address in range(p.address, p.address + p.type.words)
        }
        inside = sorted(covered & set(range(block.address, block.address + block.length)))
        # Nothing is read in vain at the ends, and no hole is longer than it is worth.
        assert (inside[0], inside[-1]) == (block.address, block.address + block.length - 1)
        assert all(after - before - 1 <= bridge for before, after in pairwise(inside))


@given(POINTS, st.integers(4, 125), BARRIERS, st.randoms())
def test_the_order_and_the_repetition_of_points_do_not_matter(
    points: list[RegisterPoint], max_span: int, barriers: tuple[int, ...], random: Random
) -> None:
    assume(not torn(points, barriers))
    shuffled = points + points[:3]
    random.shuffle(shuffled)
    rules = ReadRules(max_span, barriers)
    assert plan_reads(shuffled, rules) == plan_reads(points, rules)


@given(POINTS, BARRIERS)
def test_what_fits_into_one_request_is_one_request(
    points: list[RegisterPoint], barriers: tuple[int, ...]
) -> None:
    assume(points)
    assume(not torn(points, barriers))
    alike = [point(p.address, p.type) for p in points]
    first, last = min(p.address for p in alike), max(p.address + p.type.words for p in alike)
    assume(last - first <= 125)
    assume(not any(first < b < last for b in barriers))
    assert plan_reads(alike, ReadRules(125, barriers, 125)) == (Block(3, first, last - first),)


def test_a_point_inside_another_does_not_shrink_the_block() -> None:
    nested = [point(0, WordType.U64), point(1, WordType.U16)]
    assert plan_reads(nested, ReadRules()) == (Block(3, 0, 4),)


def test_two_points_at_one_address() -> None:
    assert plan_reads([point(5, WordType.U16), point(5, WordType.U32)], ReadRules()) == (Block(3, 5, 2),)


def test_a_hole_is_bridged_only_where_that_is_cheaper() -> None:
    assert len(plan_reads([point(0, WordType.U16), point(32, WordType.U16)], ReadRules())) == 1
    assert len(plan_reads([point(0, WordType.U16), point(33, WordType.U16)], ReadRules())) == 2


@pytest.mark.parametrize(("max_span", "barriers"), [(3, ()), (125, (2,))])
def test_a_value_that_would_be_torn_is_refused(max_span: int, barriers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot be read in one request"):
        plan_reads([point(0, WordType.U64)], ReadRules(max_span, barriers))


RULES = st.builds(
    ReadRules,
    max_span=st.sampled_from((8, 20, 80, 125)),
    max_gap=st.integers(0, 40),
    length_multiple=st.sampled_from((1, 2, 4)),
    start_multiple=st.sampled_from((1, 2, 4)),
    one_request_per_point=st.booleans(),
    readable=st.sampled_from(((), ((0, 99), (100, 400)), ((0, 400),))),
)


@given(POINTS, RULES)
def test_what_a_device_demands_of_a_read_is_kept(points: list[RegisterPoint], rules: ReadRules) -> None:
    points = [p for p in points if fitted(p.address, p.address + p.type.words, rules) is not None]
    blocks = plan_reads(points, rules)
    alone = {(p.function, p.address, p.type.words) for p in points}
    assert len(blocks) <= len(alone)
    if rules.one_request_per_point:
        assert len(blocks) == len(alone)
    for wanted in points:
        assert any(block.holds(wanted) for block in blocks)
    for block in blocks:
        assert block.length <= rules.max_span
        assert block.length % rules.length_multiple == 0
        assert block.address % rules.start_multiple == 0
        if rules.readable:
            assert any(
                first <= block.address and block.address + block.length - 1 <= last
                for first, last in rules.readable
            )


def test_a_read_of_an_odd_register_is_widened_to_what_the_device_takes() -> None:
    rules = ReadRules(max_span=80, length_multiple=2, start_multiple=2)
    assert plan_reads([point(5, WordType.U16)], rules) == (Block(3, 4, 2),)
    assert plan_reads([point(5, WordType.U32)], rules) == (Block(3, 4, 4),)


def test_a_point_outside_what_can_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be read in one request"):
        plan_reads([point(99, WordType.U32)], ReadRules(readable=((0, 99), (100, 200))))
