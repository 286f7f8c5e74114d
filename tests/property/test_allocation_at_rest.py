"""What is not worked out anew would have come out the same: plans at rest, and looks that are kept."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.allocation.allocate import at_rest, worked_out
from daemon.allocation.counting import Look
from daemon.allocation.situation import Ahead
from tests.property.test_allocation_invariants import parks
from tests.world.paper_loads import MINER, Park, loads_of

often = settings(max_examples=150)


def settled(park: Park) -> Park:
    """Most of what would keep it from being at rest taken away."""
    park.memory = replace(
        park.memory,
        level=np.maximum(park.memory.level, 0),
        ordered_s=np.full(len(park.loads), -np.inf),
        seen_s=np.full(len(park.loads), park.now_s - 0.5),
    )
    return park


def changes(nameplate_w: float) -> st.SearchStrategy[dict[str, Any]]:
    share = st.floats(0.0, 0.3)
    return st.fixed_dictionaries(
        {
            "may_rise": st.booleans(),
            "uncontrolled_w": share.map(lambda part: part * nameplate_w),
            "cooling_w": share.map(lambda part: part * 0.2 * nameplate_w),
            "follows": st.sampled_from([0.0, 0.06]),
            "margin_w": st.just(0.003 * nameplate_w),
            "deadband_w": st.just(0.002 * nameplate_w),
            "at_once_w": st.sampled_from([0.0, 4_000.0]),
        }
    )


@often
@given(parks(), st.floats(0.2, 1.2), st.booleans(), st.booleans())
def test_where_all_is_shed_nothing_else_would_be_worked_out(
    park: Park,
    share: float,
    may_rise: bool,  # noqa: FBT001
    known: bool,  # noqa: FBT001
) -> None:
    park = settled(park)
    level = (
        np.zeros_like(park.memory.level)
        if known
        else np.minimum(park.memory.level, 0) - (park.loads.index % 2)
    )
    park.memory = replace(park.memory, level=level)
    limit_w = share * float(park.counted().sum())
    situation = park.situation(limit_w, may_rise=may_rise, uncontrolled_w=100.0)
    plain = at_rest(situation, park.seen(), park.circuits)
    assert plain is not None or share > 1
    if plain is not None:
        plan = worked_out(situation, park.seen(), park.circuits)
        assert (plan.level == plain.level).all()
        assert (plan.counted_w == plain.counted_w).all()
        assert (plan.late_w, plan.unreachable_w, plan.at_deadline_w) == (
            plain.late_w,
            plain.unreachable_w,
            plain.at_deadline_w,
        )


@often
@given(parks(), st.floats(0.2, 2.0), st.booleans(), st.data())
def test_a_plan_that_is_plain_is_the_one_that_would_be_worked_out(
    park: Park,
    share: float,
    calm: bool,  # noqa: FBT001
    data: st.DataObject,
) -> None:
    park = settled(park) if calm else park
    nameplate_w = float(park.loads.nameplate_w.sum())
    more = data.draw(changes(nameplate_w))
    limit_w = share * float(park.counted().sum()) + more["uncontrolled_w"]
    situation = park.situation(limit_w, ceiling_w=data.draw(st.sampled_from([0.0, 1e9])), **more)
    plain = at_rest(situation, park.seen(), park.circuits)
    if plain is None:
        return
    plan = worked_out(situation, park.seen(), park.circuits)
    assert (plan.level == park.memory.level).all()
    assert (plan.level == plain.level).all()
    assert (plan.counted_w == plain.counted_w).all()
    assert (plan.late_w, plan.unreachable_w) == (plain.late_w, plain.unreachable_w)
    assert plan.at_deadline_w == plain.at_deadline_w


def test_at_a_constant_limit_a_plan_is_plain_and_with_a_change_in_sight_it_is_not() -> None:
    park = settled(parks_of_miners())
    full_w = float(park.counted().sum())
    park.at(0, 0)
    asleep_w = float(park.counted().sum())
    shed = at_rest(park.situation(asleep_w - 10), park.seen(), park.circuits)
    assert shed is not None
    assert shed.unreachable_w == pytest.approx(10)
    assert at_rest(park.situation(asleep_w + 9_000), park.seen(), park.circuits) is None
    park.at(4, 4)
    for limit_w in (full_w, full_w + 100):
        assert at_rest(park.situation(limit_w), park.seen(), park.circuits) is not None
    assert at_rest(park.situation(full_w - 1), park.seen(), park.circuits) is None
    ahead = park.situation(full_w, ahead=[Ahead(10.0, 0.0)])
    assert at_rest(ahead, park.seen(), park.circuits) is None
    park.at(3, 4)
    assert at_rest(park.situation(full_w - 1), park.seen(), park.circuits) is not None
    assert at_rest(park.situation(full_w), park.seen(), park.circuits) is None
    assert at_rest(park.situation(full_w, may_rise=False), park.seen(), park.circuits) is not None


def parks_of_miners() -> Park:
    return Park(loads_of(MINER, MINER))


@often
@given(parks(), st.floats(0.0, 40.0), st.booleans())
def test_a_look_that_holds_says_what_a_new_one_would(
    park: Park,
    after_s: float,
    calm: bool,  # noqa: FBT001
) -> None:
    park = settled(park) if calm else park
    before = park.seen()
    _ = before.counted_w, before.overdue, before.least_step_w, before.loads_w
    now_s = park.now_s + after_s
    if not before.holds(park.memory, park.measured_w, now_s):
        return
    kept, new = before.later(now_s), Look(park.memory, park.loads, park.measured_w, now_s)
    assert kept.now_s == now_s
    for name in ("missing", "in_window", "counted_w", "overdue"):
        assert (getattr(kept, name) == getattr(new, name)).all()
    for name in ("all_answer", "all_settled", "loads_w", "least_step_w"):
        assert getattr(kept, name) == getattr(new, name)


def test_a_look_holds_until_a_load_goes_missing_or_something_new_is_seen() -> None:
    park = settled(parks_of_miners())
    look = park.seen()
    assert look.holds(park.memory, park.measured_w.copy(), park.now_s + 11.4)
    assert not look.holds(park.memory, park.measured_w.copy(), park.now_s + 11.6)
    assert not look.holds(replace(park.memory), park.measured_w, park.now_s)
    assert not look.holds(park.memory, park.measured_w + 1, park.now_s)
    ordered = replace(park.memory, ordered_s=np.array([-np.inf, park.now_s]))
    assert not replace(look, memory=ordered).holds(ordered, park.measured_w, park.now_s)


def test_room_is_made_for_cooling_that_has_not_followed_yet() -> None:
    park = settled(parks_of_miners())
    park.at(4, 4)
    full_w = float(park.counted().sum())
    # The cooling fell while the loads had no work, and will draw 5 % of them again.
    fallen = {"uncontrolled_w": 0.02 * full_w, "cooling_w": 0.02 * full_w, "follows": 0.05, "margin_w": 0.0}
    situation = park.situation(1.03 * full_w, **fallen)
    assert at_rest(situation, park.seen(), park.circuits) is None
    plan = worked_out(situation, park.seen(), park.circuits)
    assert float(plan.counted_w.sum()) <= 1.03 * full_w / 1.05
    assert plan.unreachable_w == 0.0
    assert at_rest(park.situation(1.051 * full_w, **fallen), park.seen(), park.circuits) is not None
