"""What is counted within an interval survives a kill, up to when it was kept last."""

from typing import Any

from daemon.ledger import IntervalBuilder
from tests.world.metered_site import MIDNIGHT, MeteredSite


def _site() -> MeteredSite:
    return MeteredSite(power_w=1_200_000.0, limit_w=1_000_000, true_s=float(MIDNIGHT + 3600))


def _eventful(site: MeteredSite, *, killed: bool) -> dict[str, Any]:
    """The interval from 01:05 on: 100 s settling, over its limit after that; a kill at 01:07:30."""
    site.run(300)
    site.settling, site.state = True, "failsafe"
    site.run(100)
    site.settling, site.state = False, "limited"
    site.run(50)
    if killed:
        assert site.builder is not None
        kept = site.builder.progress()
        site.kill()
        site.builder = IntervalBuilder(site.interval_s, site.points, site.saved, kept)
    site.run(150)
    return site.records()[1]


def test_a_kill_within_an_interval_takes_nothing_from_its_counts() -> None:
    whole, killed = _eventful(_site(), killed=False), _eventful(_site(), killed=True)
    assert whole["over_s"] > 150
    assert whole["settle_s"] == whole["state_s"]["failsafe"] == 100
    assert killed["wh"] == whole["wh"]
    # The second in which it was down is in no count.
    for name in ("over_s", "settle_s", "samples", "coverage_s"):
        assert whole[name] - 1 <= killed[name] <= whole[name], name
    assert sum(killed["state_s"].values()) >= 299
    assert killed["output"]["hashes_th"] >= whole["output"]["hashes_th"] - 1000
    assert killed["over_wh"] >= whole["over_wh"] * 0.98
    assert killed["max_w"] == whole["max_w"]


def test_what_was_kept_of_another_interval_is_not_used() -> None:
    site = _site()
    site.run(400)
    assert site.builder is not None
    kept = site.builder.progress()
    site.run(300)
    site.kill()
    site.builder = IntervalBuilder(site.interval_s, site.points, site.saved, kept)
    site.run(200)
    last = site.records()[-1]
    assert last["kind"] == "interval"
    assert last["samples"] <= 201
