"""The limit in force as an outsider knows it from signed documents."""

from daemon.commands.orders import ScheduleEntry
from sim_devices.demo.documents import FAILSAFE_OFFSET_S, Documents, PublishedLease, PublishedQuota
from sim_devices.demo.terms import Terms

T = 1_790_000_000
TERMS = Terms(contract_max_w=1100, failsafe_w=300, lease_timeout_s=6, failsafe_ramp_s=10)


def quota(rev: int, *entries: tuple[float, float, int | None], at_s: float = 0) -> PublishedQuota:
    schedule = tuple(ScheduleEntry(int(T + start), int(T + end), limit_w) for start, end, limit_w in entries)
    return PublishedQuota(rev, schedule, schedule[-1].end, T + at_s)


def lease(rev: int, *, at_s: float, iat_s: float | None = None, life_s: int = 60) -> PublishedLease:
    iat = int(T + (at_s if iat_s is None else iat_s))
    return PublishedLease(rev, iat, iat + life_s, T + at_s)


def limit_w(documents: Documents, at_s: float) -> float:
    return documents.limit_w(T + at_s)


def leased(*quotas: PublishedQuota, rev: int = 1, until_s: int = 60) -> Documents:
    leases = [lease(rev, at_s=second + 0.2) for second in range(until_s)]
    return Documents(TERMS, list(quotas), leases)


def test_a_schedule_is_half_open_and_its_steps_come_by_themselves() -> None:
    documents = leased(quota(1, (0, 10, 600), (10, 100, 800)))
    assert [limit_w(documents, at_s) for at_s in (1, 9.99, 10, 50)] == [600, 600, 800, 800]


def test_released_is_the_contract_and_a_limit_above_it_is_clamped_and_0_is_0() -> None:
    documents = leased(quota(1, (0, 10, None), (10, 20, 9999), (20, 100, 0)))
    assert [limit_w(documents, at_s) for at_s in (1, 10, 20)] == [1100, 1100, 0]


def test_a_time_that_no_entry_covers_is_the_failsafe_limit() -> None:
    documents = leased(quota(1, (0, 10, 600), (20, 100, 800)))
    assert limit_w(documents, 15) == 300


def test_a_new_quota_is_in_force_from_its_publication_under_the_running_lease() -> None:
    documents = leased(quota(1, (0, 100, None)), quota(2, (20, 100, 600), at_s=20.5), until_s=20)
    assert [limit_w(documents, at_s) for at_s in (20.4, 20.5, 24.9)] == [1100, 600, 600]


def test_the_highest_revision_counts_whatever_the_order() -> None:
    documents = leased(quota(2, (0, 100, 600)), quota(1, (0, 100, 700), at_s=5), rev=2)
    assert limit_w(documents, 10) == 600


def test_before_any_heartbeat_it_is_at_most_the_failsafe_limit() -> None:
    documents = Documents(TERMS, [quota(1, (0, 100, None))], [])
    assert limit_w(documents, 1) == 300
    assert limit_w(Documents(TERMS), 1) == 300


def test_a_heartbeat_for_another_revision_does_not_count() -> None:
    documents = Documents(TERMS, [quota(2, (0, 100, None))], [lease(1, at_s=1)])
    assert limit_w(documents, 2) == 300


def test_a_heartbeat_counts_from_its_signing_and_not_beyond_its_end() -> None:
    delayed = Documents(TERMS, [quota(1, (0, 100, None))], [lease(1, at_s=5, iat_s=0)])
    assert delayed.fresh_until_s(T + 5) == T + 6
    short = Documents(TERMS, [quota(1, (0, 100, None))], [lease(1, at_s=5, life_s=2)])
    assert short.fresh_until_s(T + 5) == T + 7
    assert short.fresh_until_s(T + 4) is None


def test_silence_ends_in_failsafe_by_a_ramp_after_the_longest_offset() -> None:
    documents = leased(quota(1, (0, 500, 700)), until_s=10)
    lapses_s = 9 + 6
    begins_s = lapses_s + FAILSAFE_OFFSET_S
    assert limit_w(documents, lapses_s - 0.1) == 700
    assert limit_w(documents, begins_s) == 700
    assert limit_w(documents, begins_s + 5) == 500
    assert limit_w(documents, begins_s + 10) == 300
    assert limit_w(documents, begins_s + 100) == 300


def test_failsafe_is_never_above_the_schedule() -> None:
    documents = leased(quota(1, (0, 500, 0)), until_s=10)
    assert [limit_w(documents, at_s) for at_s in (12, 30, 100, 200)] == [0, 0, 0, 0]


def test_a_quota_of_its_own_lifts_nothing_out_of_failsafe_and_its_heartbeat_does() -> None:
    documents = leased(quota(1, (0, 500, 0)), quota(2, (0, 500, None), at_s=30), until_s=10)
    assert limit_w(documents, 31) == 300
    documents.leases.append(lease(2, at_s=32))
    assert limit_w(documents, 31) == 300
    assert limit_w(documents, 32) == 1100
