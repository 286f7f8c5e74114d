"""The control core against the physics of a mixed fleet: how close it keeps to a limit, and how quietly."""

import pytest

from benchmarks.control import holding

FEW = 300


@pytest.fixture(scope="module")
def at_a_constant_limit() -> dict[str, float]:
    """Fifteen minutes at 60 %, with the usual share of loads that do not obey or do not answer."""
    (found,) = holding.constant([1], loads=FEW, seconds=900).rounds
    return dict(found)


def test_at_a_constant_limit_hardly_anything_is_written(at_a_constant_limit: dict[str, float]) -> None:
    assert at_a_constant_limit["writes"] <= 400


def test_a_constant_limit_is_used_up(at_a_constant_limit: dict[str, float]) -> None:
    assert 0 < at_a_constant_limit["below"] <= 0.005
    assert at_a_constant_limit["minutes_over"] == 0


def test_an_announced_step_is_met_when_it_begins_and_not_undershot() -> None:
    (found,) = holding.steps([1], loads=FEW).rounds
    assert found["announced_s"] == 0
    # Of so few loads, those that stand in for the ones that turn out not to obey are a point by themselves.
    assert found["announced_deepest"] <= 0.045
    # Nobody waits minutes for a step: what is given up before it is a few seconds of full power.
    assert found["announced_given_up_s"] <= 8
