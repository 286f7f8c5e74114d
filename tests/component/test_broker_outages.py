"""While the broker is away or flaps, the limit is what the state table says, and nothing piles up."""

from tests.world.broker_outages import ROOM_BYTES, away, flapping, run


def test_an_outage_leads_to_failsafe_and_back_without_a_wrong_second() -> None:
    outcome = run(away, 360, weighed=False)
    assert outcome.violations == []
    assert {"limited", "failsafe"} <= outcome.states
    assert outcome.judged_s > 600


def test_a_flapping_broker_takes_no_second_of_the_quota_and_no_memory() -> None:
    outcome = run(flapping, 40)
    assert outcome.violations == []
    assert "failsafe" not in outcome.states
    assert 0 < abs(outcome.grown_bytes) < ROOM_BYTES
