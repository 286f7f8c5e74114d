"""A meter's reading is compared with what the devices drew when it was taken."""

import math

import numpy as np
import pytest

from daemon.metering.pairing import Drawn, Pair, Pairing
from daemon.metering.reading import Reading

NAN = math.nan
TM_S = 100.0
SLOWEST_S = 30.0


def reading(sampled_s: float = TM_S, power_w: float = 10_000.0) -> Reading:
    return Reading(power_w, NAN, sampled_s, sampled_s, NAN, fresh=True)


def drawn(
    load_w: list[float], load_s: list[float], cooling_w: float = 600.0, cooling_s: float = TM_S
) -> Drawn:
    known_w = float(np.nansum(load_w)) + cooling_w
    return Drawn(np.array(load_w), np.array(load_s), np.array([cooling_w]), np.array([cooling_s]), known_w)


def paired(then: Drawn, *later: Drawn, now_s: float = TM_S + 1.0) -> list[Pair]:
    """What comes out when the reading came with `then`, and each of `later` a second after the other."""
    pairing = Pairing(SLOWEST_S)
    pairing.take(reading(), then, 1.0, 99.0, now_s)
    found = list(pairing.pairs(then, now_s))
    for second, each in enumerate(later, start=1):
        found += pairing.pairs(each, now_s + second)
    return found


def test_what_was_sampled_together_does_not_wait() -> None:
    (pair,) = paired(drawn([3_000.0, 3_000.0], [TM_S - 0.9, TM_S + 0.3]))
    assert (pair.known_w, pair.apart_w) == (6_600.0, 0.0)


def test_cooling_that_fell_is_taken_as_it_was_when_the_meter_was_read() -> None:
    then = drawn([3_000.0], [TM_S], cooling_w=600.0, cooling_s=TM_S - 20.0)
    later = drawn([3_000.0], [TM_S], cooling_w=300.0, cooling_s=TM_S + 10.0)
    assert paired(then) == []
    (pair,) = paired(then, then, later)
    assert pair.known_w == pytest.approx(3_000.0 + 400.0)
    assert pair.apart_w == 0.0


def test_a_load_that_fell_in_between_says_how_little_is_known() -> None:
    then = drawn([3_000.0, 3_000.0], [TM_S - 10.0, TM_S])
    later = drawn([1_000.0, 3_000.0], [TM_S + 10.0, TM_S + 20.0])
    (pair,) = paired(then, later)
    assert pair.known_w == pytest.approx(2_000.0 + 3_000.0 + 600.0)
    assert pair.apart_w == 2_000.0


def test_a_load_that_changed_after_the_reading_is_taken_as_it_was() -> None:
    then = drawn([3_000.0, 3_000.0], [TM_S - 10.0, TM_S + 0.5])
    later = drawn([3_000.0, 1_000.0], [TM_S + 10.0, TM_S + 20.0])
    (pair,) = paired(then, later)
    assert (pair.known_w, pair.apart_w) == (6_600.0, 0.0)


def test_who_does_not_answer_is_waited_for_no_longer_than_a_poll() -> None:
    then = drawn([3_000.0, 3_000.0], [TM_S - 10.0, TM_S])
    assert paired(then, *[then] * 31) == []
    (pair,) = paired(then, *[then] * 32)
    assert pair.known_w == 6_600.0
    silent = drawn([NAN, 3_000.0], [-math.inf, TM_S])
    (pair,) = paired(then, silent)
    assert pair.known_w == 6_600.0


def test_readings_come_out_in_their_order_and_those_of_no_use_do_not() -> None:
    pairing = Pairing(SLOWEST_S)
    then = drawn([3_000.0], [TM_S - 10.0])
    for second in range(3):
        pairing.take(reading(TM_S + second), then, 1.0, 99.0, TM_S + second)
    first = list(pairing.pairs(drawn([3_000.0], [TM_S + 0.5], cooling_s=TM_S + 5.0), TM_S + 4.0))
    assert [pair.reading.sampled_s for pair in first] == [TM_S, TM_S + 1.0]
    pairing.forget()
    assert list(pairing.pairs(drawn([3_000.0], [TM_S + 9.0]), TM_S + 90.0)) == []
