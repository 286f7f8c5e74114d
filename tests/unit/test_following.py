"""How much cooling follows the loads: what teaches it, and what does not."""

import pytest

from daemon.allocation.following import Following

FULL_W = 100_000.0


def looked(following: Following, cooling_w: float | None, loads_w: float, seconds: range) -> Following:
    for now_s in seconds:
        following = following.looked(cooling_w, loads_w, FULL_W, float(now_s))
    return following


def test_the_first_look_is_taken_for_a_site_at_rest() -> None:
    assert looked(Following(), 6_000.0, FULL_W, range(1)).share == 0.06


def test_cooling_that_was_not_measured_yet_is_no_share_of_zero() -> None:
    assert looked(Following(), None, FULL_W, range(300)).share is None


def test_it_is_learned_at_rest_once_the_cooling_has_followed() -> None:
    known = looked(Following(), 6_000.0, FULL_W, range(200))
    assert looked(known, 3_000.0, 0.5 * FULL_W, range(200, 500)).share == pytest.approx(0.06)
    assert looked(known, 4_000.0, 0.5 * FULL_W, range(200, 379)).share == 0.06
    assert looked(known, 4_000.0, 0.5 * FULL_W, range(200, 900)).share == pytest.approx(0.08, abs=1e-3)


def test_pumps_that_run_on_for_sleepers_teach_nothing() -> None:
    known = looked(Following(), 6_000.0, FULL_W, range(200))
    assert looked(known, 1_500.0, 0.01 * FULL_W, range(200, 2_000)).share == 0.06
