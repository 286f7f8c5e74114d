"""Benchmarks over many seeds: every seed once, in order, two at a time."""

import os

import pytest

from benchmarks.control.seeds import Row, over_seeds, with_each
from benchmarks.figures import at_most


def test_every_seed_is_measured_once_in_order_by_two_processes() -> None:
    found = list(with_each(range(1, 9), lambda seed: (seed, os.getpid())))
    assert [seed for seed, _ in found] == [*range(1, 9)]
    assert os.getpid() not in {process for _, process in found}


def test_a_single_seed_is_measured_right_here() -> None:
    assert list(with_each([7], lambda seed: (seed, os.getpid()))) == [(7, os.getpid())]


def test_what_fails_with_one_seed_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        list(with_each([1, 0, 2], lambda seed: 1 / seed))


def test_the_middle_and_the_worst_of_all_seeds_are_told() -> None:
    row = Row("watts", "power", "W", at_most(5), scale=2)
    finding = over_seeds("n", "t", [1, 2, 4], [row], lambda seed: {"watts": seed})
    assert [(figure.what, figure.value, figure.goal) for figure in finding.figures] == [
        ("power: median", 4, None),
        ("power: worst of 3", 8, at_most(5)),
    ]
    assert [taken["seed"] for taken in finding.rounds] == [1, 2, 4]
