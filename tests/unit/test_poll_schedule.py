"""The poll grid, the back-off and the breaker."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.grid import PollGrid
from drivers.modbus.backoff import Backoff, Breaker


@given(st.integers(1, 200), st.sampled_from((0.1, 0.5, 1.0, 5.0, 60.0)), st.floats(0, 1e9))
def test_everything_comes_once_a_period_in_a_fixed_phase(count: int, period_s: float, start: float) -> None:
    grid = PollGrid(period_s, list(range(count)), 0.02)
    grid.start(start)
    seen: list[list[int]] = []
    for _ in range(3):
        turn: list[int] = []
        while len(turn) < count:
            turn += itertools.chain.from_iterable(grid.due(grid.next_at))
        seen.append(turn)
    assert sorted(seen[0]) == list(range(count))
    assert seen[0] == seen[1] == seen[2]
    assert grid.missed == 0
    assert grid.next_at == pytest.approx(start + 3 * period_s)


def test_a_late_call_serves_each_once_counts_the_rest_and_keeps_the_grid() -> None:
    grid = PollGrid(1.0, ["a", "b"], 0.02)
    grid.start(100.0)
    assert list(grid.due(100.0)) == [["a"]]
    assert sorted(map(list, grid.due(104.6))) == [["a"], ["b"]]
    assert grid.missed == 7
    assert grid.next_at == 105.0


@given(
    st.integers(1, 60),
    st.sets(st.integers(0, 59)),
    st.integers(0, 200),
    st.floats(0, 30),
    st.sampled_from((0.1, 1.0, 5.0)),
)
def test_who_stays_is_not_shifted_when_others_come_and_go(
    count: int, leaving: set[int], coming: int, at_s: float, period_s: float
) -> None:
    grid = PollGrid(period_s, list(range(count)), 0.02)
    grid.start(100.0)
    _turn(grid, 100.0, 100.0 + at_s)
    missed = grid.missed
    before = _turn(grid, 100.0 + at_s, 100.0 + at_s + period_s)
    gone = {item for item in range(count) if item in leaving}
    new = list(range(1000, 1000 + coming))

    grid.lay(gone, new)
    now = 100.0 + at_s + period_s
    # Whoever is new may have to wait until the slot after has come.
    after = _turn(grid, now, now + 2 * period_s)

    assert sorted(after) == sorted({*range(count), *new} - gone)
    for item in set(range(count)) - gone:
        assert after[item] == pytest.approx(before[item] + period_s, abs=1e-6)
    assert grid.missed == missed
    assert len(grid) == len(after)
    # They are spread: nobody waits for many.
    slots = [len(slot) for slot in grid._slots]
    assert max(slots) <= max(1, -(-(count + coming) // len(slots))) + -(-count // len(slots))


def _turn(grid: PollGrid[int], from_s: float, until_s: float) -> dict[int, float]:
    """When each came first, called at every slot in turn."""
    seen: dict[int, float] = {}
    while grid.next_at < until_s - 1e-9:
        at_s = max(grid.next_at, from_s)
        for slot in grid.due(at_s):
            for item in slot:
                seen.setdefault(item, at_s)
    return seen


def test_a_slot_that_was_given_out_loses_who_has_gone() -> None:
    grid = PollGrid(1.0, ["a", "b"], 1.0)
    grid.start(0.0)
    slots = grid.due(0.0)
    slot = next(slots)
    grid.lay({"a"}, ["c"])
    assert slot == ["b", "c"]


def test_a_back_off_doubles_from_half_a_second_to_30_with_jitter_and_starts_over() -> None:
    backoff = Backoff(Random(1))
    pauses = [backoff.next_s() for _ in range(50)]
    assert all(0.5 <= pause <= 30 for pause in pauses)
    assert all(pause >= 15 for pause in pauses[7:])
    assert len(set(pauses[10:])) > 30
    backoff.reset()
    assert backoff.next_s() == 0.5


def test_a_breaker_opens_at_the_third_failure_in_a_row() -> None:
    breaker = Breaker()
    breaker.failed(0)
    breaker.failed(1)
    breaker.succeeded()
    breaker.failed(2)
    breaker.failed(3)
    assert breaker.allows(3)
    breaker.failed(4)
    assert breaker.is_open
    now = 4.0
    for pause in (5, 10, 30, 60, 60):
        assert not breaker.allows(now + pause - 0.01)
        assert breaker.allows(now + pause)
        now += pause
        breaker.failed(now)
    breaker.succeeded()
    assert breaker.allows(now)
