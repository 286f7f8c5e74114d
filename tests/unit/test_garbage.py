"""What is built before the site runs is not looked through for garbage any more."""

import gc
from collections.abc import Iterator

import pytest

from daemon.service.garbage import spare_the_search


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_has_been_built_is_left_out() -> None:
    built: list[list[int]] = [[] for _ in range(1000)]
    spare_the_search()
    assert gc.get_freeze_count() >= len(built)
    assert gc.get_threshold()[0] > 10_000


def test_what_is_thrown_away_later_is_still_found() -> None:
    spare_the_search()
    ring: list[object] = []
    ring.append(ring)
    del ring
    assert gc.collect() > 0
