"""What new loads draw stays uncontrolled in the sums until the meter was read beside them."""

import numpy as np

from daemon.metering.joining import Joining
from daemon.table.carrying import BEGINS


def test_what_a_load_counts_at_is_left_out_as_it_was_when_it_was_seen_first() -> None:
    joining = Joining(np.array([False, True, True]), 100.0)
    joining.look(np.array([1.0, 3_000.0, 5_000.0]), np.array([True, False, False]))
    assert (joining.lasts, joining.watts) == (True, 8_000.0)
    # One is seen, at less than its nameplate; what it is ordered to later makes no difference.
    joining.look(np.array([1.0, 2_000.0, 5_000.0]), np.array([True, True, False]))
    assert joining.watts == 7_000.0
    joining.look(np.array([1.0, 0.0, 4_000.0]), np.array([True, True, True]))
    assert joining.watts == 6_000.0
    joining.look(np.array([1.0, 0.0, 0.0]), np.array([True, True, True]))
    assert joining.watts == 6_000.0
    assert joining.new.tolist() == [False, True, True]
    joining.end()
    assert (joining.lasts, joining.watts, bool(joining.new.any())) == (False, 0.0, False)


def test_nobody_is_new_on_a_site_that_begins() -> None:
    joining = Joining(np.zeros(2, dtype=np.bool_))
    joining.look(np.array([1.0, 2.0]), np.array([False, False]))
    assert (joining.lasts, joining.watts) == (False, 0.0)


def test_more_may_come_while_the_first_are_new() -> None:
    first = Joining(np.array([False, True]), 100.0)
    first.look(np.array([1.0, 3_000.0]), np.array([True, True]))
    second = first.carried(np.array([1, 0, BEGINS]), 150.0)
    assert second.new.tolist() == [True, False, True]
    second.look(np.array([2_500.0, 1.0, 700.0]), np.array([True, True, False]))
    assert (second.watts, second.until_s) == (3_700.0, 150.0)
    # A change of limits alone neither begins nor ends it.
    third = second.carried(np.array([0, 1, 2]), -np.inf)
    assert (third.watts, third.until_s, third.lasts) == (3_700.0, 150.0, True)
