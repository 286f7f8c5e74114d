"""The demo's judge, on made-up histories: most of them must fail."""

from collections.abc import Callable

import pytest

from sim_devices.demo.judge import (
    Energy,
    Holding,
    Sample,
    Second,
    Settled,
    Settlement,
    Step,
    judge_energy,
    judge_holding,
    judge_settlement,
)
from sim_devices.demo.result import Result

T = 1_790_000_000
SETTLE_S = 10.0


def history(
    power: Callable[[float], float], seconds: float = 60, floor: Callable[[float], float] = lambda _: 100.0
) -> list[Sample]:
    samples, wh = [], 5_000.0
    for index in range(round(seconds * 10)):
        after_s = index / 10
        wh += power(after_s) * 0.1 / 3600
        samples.append(Sample(T + after_s, power(after_s), floor(after_s), wh))
    return samples


def judged(
    power: Callable[[float], float],
    limit: Callable[[float], float],
    *steps: Step,
    floor: Callable[[float], float] = lambda _: 100.0,
) -> Holding:
    full = Step("full", T, None)
    return judge_holding(
        history(power, floor=floor), lambda wall_s: limit(wall_s - T), [full, *steps], SETTLE_S
    )


def limited(to_w: float, at_s: float = 20) -> Callable[[float], float]:
    return lambda after_s: to_w if after_s >= at_s else 2000.0


CUT = Step("cut", T + 20, 600, unannounced=True)


def test_a_site_that_is_down_within_the_window_has_held_and_its_seconds_count() -> None:
    holding = judged(lambda s: 1000 if s < 26 else 590, limited(600), CUT)
    assert holding.broken == ()
    assert len(holding.over) == 6
    assert holding.seconds_to_comply == {"cut": 5.9}


def test_one_second_above_the_limit_after_the_window_is_not_held() -> None:
    holding = judged(lambda s: 1000 if s < 26 or 40 <= s < 41 else 590, limited(600), CUT)
    assert [second.start_s for second in holding.broken] == [T + 40]
    assert holding.seconds_to_comply["cut"] == 20.9


def test_the_window_ends() -> None:
    assert judged(lambda s: 1000 if s < 30 else 590, limited(600), CUT).broken == ()
    assert len(judged(lambda s: 1000 if s < 31 else 590, limited(600), CUT).broken) == 1


def test_a_clock_second_is_judged_by_its_mean() -> None:
    def spike(watts: float) -> Holding:
        return judged(lambda s: watts if 40 <= s < 40.1 else 590, limited(600), CUT)

    assert spike(680).broken == ()
    assert len(spike(710).broken) == 1


def test_a_watt_too_much_is_too_much() -> None:
    assert len(judged(lambda s: 1000 if s < 26 else 601, limited(600), CUT).broken) == 30


def test_an_announced_step_has_no_window() -> None:
    announced = Step("announced", T + 20, 600)
    holding = judged(lambda s: 1000 if s < 22 else 590, limited(600), announced)
    assert [second.start_s - T for second in holding.broken] == [20, 21]


def test_a_raise_has_no_window_either_and_the_old_limit_holds_until_then() -> None:
    raised = Step("raised", T + 20, 2000)
    holding = judged(lambda s: 1000 if s >= 18 else 500, lambda s: 2000 if s >= 20 else 600, raised)
    assert [second.start_s - T for second in holding.broken] == [18, 19]


def test_what_nothing_can_shed_is_no_breach_of_a_limit_of_0_and_anything_above_it_is() -> None:
    off = Step("off", T + 20, 0, unannounced=True)
    at_floor = judged(lambda s: 1000 if s < 25 else 120, limited(0), off, floor=lambda _: 120)
    assert at_floor.broken == ()
    assert at_floor.seconds_to_comply["off"] == 4.9
    above = judged(lambda s: 1000 if s < 25 else 121, limited(0), off, floor=lambda _: 120)
    assert len(above.broken) == 30
    assert above.seconds_to_comply["off"] is None


def test_a_limit_of_0_is_not_no_limit() -> None:
    off = Step("off", T + 20, 0, unannounced=True)
    assert len(judged(lambda _: 1000, limited(0), off).broken) == 30


def test_nothing_is_judged_before_the_first_step() -> None:
    samples = history(lambda s: 1000 if s < 10 else 50)
    holding = judge_holding(samples, lambda _: 600, [Step("full", T + 10, None)], SETTLE_S)
    assert holding.over == ()


def test_a_step_without_limit_has_no_time_to_comply() -> None:
    assert "full" not in judged(lambda _: 50, limited(600), CUT).seconds_to_comply


# --- settlement ---


def book(*offsets: int, wh: int | None = 10, measured: bool = True, receipted: bool = True) -> list[Settled]:
    return [Settled(T + offset, 10, measured, wh, receipted) for offset in offsets]


def settlement_of(
    records: list[Settled], *, online_s: float = 3, stopped_s: float = 41
) -> tuple[int, int, int, int]:
    judged_ = judge_settlement(records, online_s=T + online_s, stopped_s=T + stopped_s, interval_s=10)
    return judged_.due, judged_.receipted, len(judged_.missing), len(judged_.doubled)


def test_every_interval_that_ended_is_there_once_and_receipted() -> None:
    assert settlement_of(book(0, 10, 20, 30)) == (4, 4, 0, 0)


def test_a_missing_interval_shows_wherever_it_is() -> None:
    assert settlement_of(book(0, 10, 30)) == (4, 3, 1, 0)
    assert settlement_of(book(0, 10, 20)) == (4, 3, 1, 0)
    assert settlement_of(book(20, 30)) == (3, 2, 1, 0)
    assert settlement_of([]) == (3, 0, 3, 0)


def test_a_site_heard_of_at_the_end_of_an_interval_may_begin_with_the_next() -> None:
    assert settlement_of(book(10, 20, 30), online_s=9) == (3, 3, 0, 0)


def test_a_doubled_interval_shows_and_is_not_settled() -> None:
    assert settlement_of(book(0, 10, 10, 20, 30)) == (4, 3, 0, 1)


def test_an_interval_without_a_receipt_that_verifies_shows() -> None:
    assert settlement_of(book(0, 10, 20) + book(30, receipted=False)) == (4, 3, 0, 0)


def test_the_interval_in_progress_is_not_due_yet() -> None:
    assert settlement_of(book(0, 10, 20, 30), stopped_s=49.9) == (4, 4, 0, 0)
    assert settlement_of(book(0, 10, 20, 30), stopped_s=50) == (5, 4, 1, 0)


# --- energy ---


def energy_of(records: list[Settled], power_w: float = 3600.0) -> Energy | None:
    return judge_energy(history(lambda _: power_w), records)


def test_energies_over_the_same_time_agree() -> None:
    energy = energy_of(book(0, 10, 20, 30))
    assert energy is not None
    assert (energy.plant_wh, energy.ledger_wh, energy.agrees) == (30.0, 30, True)
    assert energy.tolerance_wh == pytest.approx(30 * 0.005 + 2 * 2)


@pytest.mark.parametrize("wh", [8, 12])
def test_energies_that_do_not_agree_show(wh: int) -> None:
    energy = energy_of(book(0, 10, 20, 30, wh=wh))
    assert energy is not None
    assert not energy.agrees


def test_a_run_of_gaps_brings_its_energy_with_the_last_one() -> None:
    gaps = [*book(20, wh=None, measured=False), *book(30, wh=20, measured=False)]
    records = [*book(0, 10), *gaps, *book(40)]
    energy = energy_of(records)
    assert energy is not None
    assert (energy.plant_wh, energy.ledger_wh) == (40.0, 40)


def test_gaps_whose_energy_is_still_to_come_are_left_out() -> None:
    energy = energy_of([*book(0, 10, 20), *book(30, wh=None, measured=False)])
    assert energy is not None
    assert (energy.plant_wh, energy.ledger_wh) == (20.0, 20)


@pytest.mark.parametrize("measured", [True, False])
def test_what_a_site_saw_before_its_first_whole_interval_is_left_out(*, measured: bool) -> None:
    energy = energy_of([*book(0, wh=3, measured=measured), *book(10, 20)])
    assert energy is not None
    assert (energy.plant_wh, energy.ledger_wh) == (20.0, 20)


def test_only_receipted_records_are_energy() -> None:
    assert energy_of(book(0, 10, 20, receipted=False)) is None
    assert energy_of(book(0)) is None
    assert energy_of([]) is None


def test_records_of_a_time_without_history_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="cover"):
        judge_energy(history(lambda _: 3600.0, seconds=15), book(0, 10))


# --- the result ---

GOOD = Settlement(due=4, receipted=4, missing=(), doubled=())
EVEN = Energy(100.0, 100, 1.0)
OVER = Second(T, 700.0, 600.0)


def result(
    holding: Holding | None = None,
    unshed: tuple[str, ...] = (),
    settlement: Settlement = GOOD,
    energy: Energy | None = EVEN,
) -> Result:
    holding = holding or Holding((), (), {"quota_0": 1.5})
    return Result(holding, unshed, settlement, energy, devices=8, polls=99, accepted=4, rejected=0)


def test_the_json_object_has_exactly_these_members() -> None:
    assert result(Holding((OVER,), (), {"quota_0": 1.5})).as_json() == {
        "held": True,
        "seconds_to_comply": {"quota_0": 1.5},
        "over_limit_s": 1,
        "devices": 8,
        "polls": 99,
        "commands": {"accepted": 4, "rejected": 0},
        "intervals": 4,
        "receipted": 4,
        "energy_wh": {"plant": 100.0, "ledger": 100},
    }


def test_all_in_order_passes() -> None:
    assert (result().held, result().passed, result().problems()) == (True, True, [])


def test_a_broken_second_or_an_unshed_load_is_not_held() -> None:
    for bad in (result(Holding((OVER,), (OVER,), {})), result(unshed=("m-01-01",))):
        assert (bad.held, bad.passed) == (False, False)
    assert "m-01-01" in result(unshed=("m-01-01",)).problems()[0]


@pytest.mark.parametrize(
    "bad",
    [
        result(settlement=Settlement(4, 3, (), ())),
        result(settlement=Settlement(4, 3, (T,), ())),
        result(settlement=Settlement(4, 4, (), (T,))),
        result(settlement=Settlement(0, 0, (), ())),
        result(energy=Energy(100.0, 102, 1.0)),
        result(energy=None),
    ],
)
def test_held_alone_does_not_pass(bad: Result) -> None:
    assert bad.held
    assert not bad.passed
    assert bad.problems()
