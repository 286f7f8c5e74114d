"""Loads that fall silent while the meter falls."""

import numpy as np
import pytest

from daemon.allocation.counting import Look
from daemon.allocation.loads import Bools
from daemon.metering.darkness import Darkness
from tests.world.paper_loads import MINER, Park, loads_of

LIMIT_W = 100_000.0
COUNTED_W = np.full(10, 3_000.0)


class Watched:
    """A site whose meter shows its limit, and nobody is silent."""

    def __init__(self) -> None:
        self.darkness = Darkness()
        self.now_s = 1_000.0
        for _ in range(5):
            assert self.second(LIMIT_W) == []

    def second(self, metered_w: float | None, *silent: int) -> list[int]:
        """Who is dark after one more second."""
        self.now_s += 1.0

        def are_silent() -> Bools:
            return np.isin(np.arange(10), silent)

        dark = self.darkness.looked(metered_w, LIMIT_W, are_silent, COUNTED_W, self.now_s)
        return [] if dark is None else [int(load) for load in np.flatnonzero(dark)]


@pytest.fixture
def site() -> Watched:
    return Watched()


def test_who_falls_silent_while_the_meter_falls_is_dark_until_it_is_heard_again(site: Watched) -> None:
    assert site.second(LIMIT_W - 9_000, 0, 1, 2) == [0, 1, 2]
    assert site.second(LIMIT_W - 9_000, 0, 1, 2) == [0, 1, 2]
    for _ in range(10):
        site.second(LIMIT_W + 9_000, 0, 2)
    assert site.second(LIMIT_W, 2) == [2]
    assert site.second(LIMIT_W, 2, 3) == [2]
    assert site.second(LIMIT_W) == []
    assert site.second(LIMIT_W, 2) == []


def test_who_falls_silent_a_few_seconds_later_is_of_the_same_restart(site: Watched) -> None:
    site.second(LIMIT_W - 9_000, 0, 1, 2)
    for _ in range(5):
        assert site.second(LIMIT_W, 0, 1, 2, 3) == [0, 1, 2, 3]
    for _ in range(5):
        site.second(LIMIT_W, 0, 1, 2, 3)
    assert site.second(LIMIT_W, 0, 1, 2, 3, 4) == [0, 1, 2, 3]


def test_who_is_silent_while_the_meter_stands_still_is_given_time(site: Watched) -> None:
    for _ in range(20):
        assert site.second(LIMIT_W, 0, 1, 2, 3, 4, 5, 6) == []


@pytest.mark.parametrize(
    ("fell_w", "silent"),
    [
        (4_000, (0, 1, 2)),  # less than half of what they counted at
        (2_000, ()),
        (9_000, (0, 1)),  # of two the meter cannot tell
        (-9_000, (0, 1, 2)),
    ],
)
def test_nobody_is_dark_for_less(site: Watched, fell_w: float, silent: tuple[int, ...]) -> None:
    assert site.second(LIMIT_W - fell_w, *silent) == []


def test_a_fall_that_may_be_anybodys_darkens_nobody() -> None:
    """Less than a hundredth of the limit, however little the silent ones count at."""
    darkness, silent = Darkness(), np.ones(10, dtype=np.bool_)
    for metered_w in (LIMIT_W, LIMIT_W - 900):
        assert darkness.looked(metered_w, LIMIT_W, lambda: silent, np.full(10, 30.0), 0.0) is None


def test_without_a_meter_nobody_is_dark(site: Watched) -> None:
    assert site.second(None, 0, 1, 2) == []
    assert site.second(LIMIT_W, 0, 1, 2) == []


def test_a_fall_of_long_ago_darkens_nobody(site: Watched) -> None:
    for _ in range(9):
        site.second(LIMIT_W - 9_000)
    assert site.second(LIMIT_W - 9_000, 0, 1, 2) == []


def test_a_site_that_is_to_draw_nothing_and_draws_nothing_has_nobody_dark() -> None:
    dark = Darkness().looked(0.0, 0.0, lambda: np.ones(10, dtype=np.bool_), np.zeros(10), 0.0)
    assert dark is None


def test_one_that_is_dark_is_missing_and_counts_at_its_nameplate() -> None:
    park = Park(loads_of(MINER, MINER)).at(1, 1)
    measured_w = np.where([True, False], np.nan, park.measured_w)
    look = Look(park.memory, park.loads, measured_w, park.now_s, None, np.array([True, False]))
    assert look.missing.tolist() == [True, False]
    assert look.counted_w.tolist() == [3_500, 1_750]
