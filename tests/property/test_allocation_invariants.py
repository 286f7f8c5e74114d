"""Whatever the loads, the limit and the circuits: what an allocation promises."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from daemon.allocation.allocate import allocate
from daemon.allocation.loads import Bools, Tier
from daemon.allocation.situation import Ahead, Plan
from tests.world.paper_loads import MINER, RACK, STOCK, Park, loads_of, profile_of

RESTING = profile_of(name="resting", min_off_s=120.0, latency_down_s=8.0, settle_s=12.0)
COARSE = profile_of(((100.0, 0.0), (5_000.0, 1.0)), name="coarse", latency_down_s=1.0)
KINDS = (MINER, STOCK, RACK, RESTING, COARSE)
ROUNDING_W = 1e-3


@st.composite
def parks(draw: st.DrawFn) -> Park:
    """A site in some state: loads at any level, ordered at any time, obeying or not, measured or not."""
    count = draw(st.integers(1, 8))

    def each(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=count, max_size=count))

    kinds = each(st.sampled_from(KINDS))
    loads = loads_of(*kinds, tiers=each(st.sampled_from(list(Tier))), circuits=each(st.integers(-1, 2)))
    nameplate_w = float(loads.nameplate_w.sum())
    shares = draw(st.tuples(*[st.floats(0.1, 1.5)] * 3))
    park = Park(loads, [share * nameplate_w for share in shares], [-1, 0, 0])
    levels = np.minimum(np.array(each(st.integers(-1, 4))), loads.top)
    ages_s = np.array(each(st.sampled_from([0.0, 1.0, 4.0, 10.0, 25.0, np.inf])))
    deviation = np.array(each(st.floats(0.9, 1.1)))[:, None]
    single = 1 + np.array([each(st.floats(-0.02, 0.02)) for _ in range(loads.watts.shape[1])]).T
    learned_w = np.maximum.accumulate(loads.watts * deviation * single, axis=1)
    park.memory = replace(
        park.memory,
        level=levels,
        ordered_s=park.now_s - ages_s,
        before_w=loads.nameplate_w.copy(),
        off_since_s=np.where(levels == 0, park.now_s - ages_s, -np.inf),
        obeys=np.array(each(st.booleans() | st.just(value=True))),
        learned_w=learned_w,
        seen_s=park.now_s - np.array(each(st.sampled_from([0.5, 2.0, 60.0]))),
    )
    measured = np.array(each(st.floats(0.0, 1.2))) * loads.nameplate_w
    park.measured_w = np.where(each(st.booleans()), measured, np.nan)
    return park


limits = st.floats(0.0, 1.4)
quickly = settings(max_examples=60)
spans_s = st.sampled_from([3.0, 10.0, 30.0])


def sheddable(park: Park) -> Bools:
    return park.memory.level >= 0


def helpful(park: Park) -> Bools:
    """Loads that can be counted on: they obey, answer, and have no order underway."""
    memory, loads = park.memory, park.loads
    underway = memory.in_window(loads, park.now_s) | memory.missing(loads, park.now_s)
    return sheddable(park) & memory.obeys & ~underway


def planned(park: Park, share: float, **changes: Any) -> Plan:
    nameplate_w = float(park.loads.nameplate_w.sum())
    return park.plan(share * nameplate_w, **changes)


@quickly
@given(parks(), limits, spans_s, st.floats(0.0, 0.3), st.booleans())
def test_the_sum_is_below_the_limit_or_everything_sheddable_is_shed(
    park: Park,
    share: float,
    in_s: float,
    uncontrolled: float,
    may_rise: bool,  # noqa: FBT001
) -> None:
    uncontrolled_w = uncontrolled * float(park.loads.nameplate_w.sum())
    plan = planned(
        park, share, deadline_s=park.now_s + in_s, uncontrolled_w=uncontrolled_w, may_rise=may_rise
    )
    if plan.loads_w + uncontrolled_w > plan.limit_w + ROUNDING_W:
        assert (plan.level[sheddable(park)] == 0).all()
        assert plan.unreachable_w > 0
    else:
        assert plan.unreachable_w <= ROUNDING_W


@quickly
@given(parks(), limits, spans_s)
def test_at_the_deadline_the_limit_is_met_or_every_load_that_could_still_help_sleeps(
    park: Park, share: float, in_s: float
) -> None:
    plan = planned(park, share, deadline_s=park.now_s + in_s)
    if plan.at_deadline_w > plan.target_w + ROUNDING_W:
        # A load whose order may come late is not counted on: 5 % take longer than their profile says.
        fast = helpful(park) & (1.3 * park.loads.latency_down_s <= in_s)
        assert (plan.level[fast] == 0).all()


@quickly
@given(parks(), limits, limits, spans_s)
def test_a_smaller_limit_never_raises_the_sum(park: Park, a: float, b: float, in_s: float) -> None:
    low, high = sorted((a, b))
    deadline_s = park.now_s + in_s
    lower, higher = (planned(park, s, deadline_s=deadline_s, ceiling_w=1e9) for s in (low, high))
    # An excess below 1 % is trimmed by fast loads, in their own order: between the two ways of shedding
    # lies at most the step that a fast load goes too far.
    counted_w = float(park.counted().sum())
    trims = counted_w - higher.target_w <= 0.01 * higher.limit_w < counted_w - lower.target_w
    slack_w = float(np.diff(park.loads.watts, axis=1).max()) * 1.2 if trims else 0.0
    assert lower.loads_w <= higher.loads_w + slack_w + ROUNDING_W


@quickly
@given(parks(), limits, spans_s)
def test_without_leave_nothing_rises(park: Park, share: float, in_s: float) -> None:
    plan = planned(park, share, deadline_s=park.now_s + in_s, may_rise=False)
    assert (plan.level <= park.memory.level).all()
    assert plan.loads_w <= float(park.counted().sum()) + ROUNDING_W


@quickly
@given(parks(), limits, limits)
def test_a_rise_stays_below_the_ramp_and_the_limit(park: Park, share: float, ceiling: float) -> None:
    nameplate_w = float(park.loads.nameplate_w.sum())
    before_w = float(park.counted().sum())
    plan = planned(park, share, ceiling_w=ceiling * nameplate_w)
    if (plan.level > park.memory.level).any():
        assert plan.loads_w <= min(share, ceiling) * nameplate_w + ROUNDING_W
    else:
        assert plan.loads_w <= before_w + ROUNDING_W


@quickly
@given(parks(), limits, st.lists(st.tuples(st.integers(1, 27), limits), max_size=4))
def test_an_announced_step_is_met_by_those_who_have_the_time(
    park: Park, share: float, steps: list[tuple[int, float]]
) -> None:
    nameplate_w = float(park.loads.nameplate_w.sum())
    ahead = [Ahead(float(in_s), at * nameplate_w) for in_s, at in sorted(steps)]
    plan = planned(park, share, ahead=ahead)
    for step in ahead:
        if step.in_s <= 3 and plan.loads_w > step.limit_w + ROUNDING_W:
            assert (plan.level[helpful(park)] == 0).all()
    if ahead and (plan.level > park.memory.level).any():
        assert plan.loads_w <= min(step.limit_w for step in ahead) + ROUNDING_W


@quickly
@given(parks(), limits)
def test_no_circuit_above_its_limit_has_anything_left_to_shed(park: Park, share: float) -> None:
    plan = planned(park, share)
    for circuit in park.circuits.deepest_first:
        if float(plan.counted_w[circuit.inside].sum()) > circuit.max_w + ROUNDING_W:
            assert (plan.level[circuit.inside & sheddable(park)] == 0).all()


@quickly
@given(parks(), limits)
def test_no_load_starts_inside_its_minimum_off_time(park: Park, share: float) -> None:
    plan = planned(park, share)
    started = (park.memory.level == 0) & (plan.level > 0)
    rested = park.now_s - park.memory.off_since_s >= park.loads.min_off_s
    assert (rested | ~started).all()


@quickly
@given(parks(), limits, spans_s)
def test_levels_stay_on_the_scale_and_the_unknown_and_the_excluded_where_they_are(
    park: Park, share: float, in_s: float
) -> None:
    excluded = np.arange(len(park.loads)) % 3 == 0
    plan = planned(park, share, deadline_s=park.now_s + in_s, excluded=excluded)
    assert (plan.level <= park.loads.top).all()
    assert (plan.level >= np.minimum(park.memory.level, 0)).all()
    fixed = excluded | (park.memory.level < 0)
    assert (plan.level[fixed] == park.memory.level[fixed]).all()
    assert (plan.counted_w[fixed] == park.counted()[fixed]).all()


@quickly
@given(parks(), limits, spans_s)
def test_equal_situations_give_equal_plans(park: Park, share: float, in_s: float) -> None:
    situation = park.situation(share * float(park.loads.nameplate_w.sum()), deadline_s=park.now_s + in_s)
    memory = replace(park.memory, level=park.memory.level.copy())
    first = allocate(situation, park.seen(), park.circuits)
    second = allocate(situation, replace(park.seen(), memory=memory), park.circuits)
    assert (first.level == second.level).all()
    assert (first.counted_w == second.counted_w).all()
    assert (park.memory.level == memory.level).all()


@quickly
@given(parks(), limits)
def test_at_a_constant_limit_a_second_look_changes_nothing(park: Park, share: float) -> None:
    park.memory = replace(park.memory, obeys=np.ones(len(park.loads), dtype=np.bool_))
    assume((park.memory.level >= 0).all())
    far = {"deadline_s": park.now_s + 60.0}
    for _ in range(3):
        park.carry_out(planned(park, share, **far))
        park.look(130.0)
    settled = planned(park, share, **far)
    park.carry_out(settled)
    park.look(130.0)
    assert (planned(park, share, **far).level == settled.level).all()
