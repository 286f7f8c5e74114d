"""Columns of who stays go on, those of who comes begin."""

import numpy as np

from daemon.table.carrying import BEGINS, among, carried, carry


def test_entries_go_on_wherever_they_are_now() -> None:
    before, origin = np.array([10.0, 11.0, 12.0]), np.array([2, BEGINS, 0])
    assert carried(before, origin, np.zeros(3)).tolist() == [12.0, 0.0, 10.0]
    assert before.tolist() == [10.0, 11.0, 12.0]


def test_nobody_was_there_before() -> None:
    assert carried(np.empty(0), np.array([BEGINS]), np.array([7.0])).tolist() == [7.0]


def test_more_levels_repeat_the_last_and_fewer_leave_it_out() -> None:
    before, origin = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, BEGINS])
    assert carried(before, origin, np.zeros((2, 3))).tolist() == [[3, 4, 4], [0, 0, 0]]
    assert carried(before, origin, np.zeros((2, 1))).tolist() == [[3], [0]]


def test_a_part_follows_from_the_whole() -> None:
    origin = np.array([3, BEGINS, 0, 1])
    # Of the new entries 0, 1 and 3 are loads; of the old ones were 0 and 1 (in this order) and 3.
    assert among(origin, np.array([0, 1, 3]), np.array([0, 1, 3])).tolist() == [2, BEGINS, 1]
    # What was no load before begins as one.
    assert among(origin, np.array([2]), np.array([1, 3])).tolist() == [BEGINS]


def test_columns_of_an_object_go_on_in_another() -> None:
    class Two:
        def __init__(self, *values: float) -> None:
            self.one = self.other = np.array(values)

    after = Two(0.0, 0.0)
    carry(Two(5.0), after, ("one",), np.array([BEGINS, 0]))
    assert (after.one.tolist(), after.other.tolist()) == ([0.0, 5.0], [0.0, 0.0])
