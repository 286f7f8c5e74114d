"""What `plan` foretells, against what the same site then does."""

import copy
from typing import Any

import pytest

from daemon.cycle.foresight import Foresight
from tests.world.pure_site import PureSite


def running(**more: float) -> tuple[PureSite, float]:
    site = PureSite.build(miners=120, racks=3, seed=2, **more)
    site.quota((0, None))
    site.run(60)
    return site, site.plant.model.true_power_w


def foretold(site: PureSite, limit_w: float) -> dict[str, Any]:
    foresight = Foresight(site.controller, int(limit_w))
    for _ in foresight.steps():
        pass
    return foresight.object()


def expected_w(told: dict[str, Any], in_s: float) -> float:
    """The course holds the moments at which something changes."""
    return float([at["expected_w"] for at in told["course"] if at["in_s"] <= in_s][-1])


def test_what_is_foretold_of_a_cut_is_what_happens() -> None:
    site, full_w = running()
    limit_w = 0.6 * full_w
    told = foretold(site, limit_w)
    begun_s = site.model_s
    site.quota((0, int(limit_w)))
    site.run(90)
    course = {s: w for s, w, _ in site.means(begun_s, site.model_s)}
    assert told["unreachable"] is None
    assert told["below_limit_after_s"] <= 30
    for second in (1, 35, 60, 85):
        assert course[int(begun_s) + second] == pytest.approx(expected_w(told, second), abs=0.03 * full_w)


def test_the_loads_that_are_foretold_are_those_that_are_ordered() -> None:
    site, full_w = running()
    told = foretold(site, 0.6 * full_w)
    first = {order["device"] for order in told["orders"] if order["in_s"] == 0}
    before = site.controller.memory.level.copy()
    site.quota((0, int(0.6 * full_w)))
    site.run(1.5)
    changed = (site.controller.memory.level != before).nonzero()[0]
    ordered = {site.layout.devices[int(site.layout.loads.rows[index])].id for index in changed}
    assert len(ordered) > 20
    assert len(ordered ^ first) <= 0.05 * len(ordered)


def test_a_release_is_foretold_along_the_ramp() -> None:
    site, full_w = running()
    site.quota((0, int(0.5 * full_w)))
    site.run(90)
    told = foretold(site, full_w * 1.1)
    begun_s = site.model_s
    site.quota((0, None))
    site.run(400)
    course = {s: w for s, w, _ in site.means(begun_s, site.model_s)}
    ramp_w_per_s = site.controller.policy.ramp_up_w_per_s
    for earlier, later in zip(told["course"], told["course"][1:], strict=False):
        rise_w = later["expected_w"] - earlier["expected_w"]
        assert rise_w <= ramp_w_per_s * max(later["in_s"] - earlier["in_s"], 40) + 25_000
    for second in (60, 180, 395):
        assert course[int(begun_s) + second] == pytest.approx(expected_w(told, second), abs=0.07 * full_w)


def test_what_cannot_be_reached_is_named_with_its_reasons() -> None:
    site, _ = running()
    site.controller.excluded_until[:2] = float("inf")
    site.run(2)
    told = foretold(site, 0)
    left = told["unreachable"]
    parts = {part["what"]: part for part in left["parts"]}
    assert told["below_limit_after_s"] is None
    assert parts["excluded from control"]["count"] == 2
    assert set(parts["excluded from control"]["devices"]) == {
        site.layout.devices[int(site.layout.loads.rows[index])].id for index in (0, 1)
    }
    assert parts["draws this much at its lowest"]["count"] > 100
    assert left["w"] == pytest.approx(sum(part["w"] for part in left["parts"]), rel=0.02)


def test_foretelling_changes_nothing() -> None:
    site, full_w = running()
    before = copy.deepcopy(site.controller.memory)
    writes = site.controller.dispatcher.writes
    foretold(site, 0.3 * full_w)
    assert (site.controller.memory.level == before.level).all()
    assert (site.controller.memory.learned_w == before.learned_w).all()
    assert site.controller.dispatcher.writes == writes
    assert not site.fleet.queue


def test_nothing_is_foretold_of_a_site_that_was_not_seen_whole() -> None:
    site = PureSite.build(miners=12, racks=0)
    with pytest.raises(LookupError, match="not been seen whole"):
        Foresight(site.controller, 0)
