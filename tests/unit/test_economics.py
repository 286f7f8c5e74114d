"""What output is worth: from the configuration to which load gives way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.allocation.loads import Economics, Loads, LoadSpec, Tier
from daemon.config import load_config
from daemon.cycle.layout import SiteLayout
from daemon.errors import ConfigurationError
from tests.world.paper_loads import MINER, RACK, Park
from tests.world.site_files import GOOD, write_site


def site_with(folder: Path, economics: str) -> Path:
    return write_site(folder, GOOD.replace("[keys]", f"[economics]\n{economics}\n[keys]", 1))


def test_without_prices_there_are_defaults_in_no_currency(tmp_path: Path) -> None:
    economics = load_config(write_site(tmp_path), {}).economics
    assert (economics.hash_per_ths_day, economics.gpu_per_hour, economics.currency) == (0.05, 2.0, None)


def test_a_hash_has_a_price_by_the_day_or_by_the_terahash(tmp_path: Path) -> None:
    by_day = load_config(site_with(tmp_path, 'hash_per_ths_day = 0.08\ncurrency = "EUR"'), {}).economics
    assert (by_day.hash_per_ths_day, by_day.currency) == (0.08, "EUR")
    by_hash = load_config(site_with(tmp_path, "hash_per_th = 1e-6\ngpu_per_hour = 3"), {}).economics
    assert by_hash.hash_per_ths_day == pytest.approx(0.0864)
    assert by_hash.gpu_per_hour == 3.0


@pytest.mark.parametrize(
    ("economics", "line"),
    [
        (
            "hash_per_th = 1e-6\nhash_per_ths_day = 0.08",
            "economics.hash_per_th: is set beside hash_per_ths_day, which says the same; keep one of the two",
        ),
        (
            "hash_per_ths_day = 0\ngpu_per_hour = 0",
            (
                "economics.hash_per_ths_day: is 0, as gpu_per_hour is: no load is worth anything; "
                "write a price above 0 for one of them"
            ),
        ),
        (
            "hash_per_ths_day = -1",
            (
                "economics.hash_per_ths_day: is -1; "
                "write the price of 1 TH/s for a day, such as 0.05: a number from 0, in any currency: "
                "only ratios count"
            ),
        ),
        (
            'currency = "euro"',
            (
                'economics.currency: is "euro"; '
                'write what the prices are in, three capital letters such as "USD", or leave it out'
            ),
        ),
    ],
)
def test_a_price_that_means_nothing_is_refused(tmp_path: Path, economics: str, line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(site_with(tmp_path, economics), {})
    assert [text.split(": ", 1)[1] for text in caught.value.problems] == [line]


def test_the_configured_prices_reach_the_loads(tmp_path: Path) -> None:
    layout = SiteLayout.of(load_config(site_with(tmp_path, "hash_per_ths_day = 0.24"), {}))
    assert layout.loads.value[0, -1] == pytest.approx(0.01 * 200.0)


def shed(prices: Economics, *tiers: Tier, earning: tuple[float, ...] = (1.0, 1.0)) -> list[bool]:
    """Which of a miner and a GPU rack gives way when the site has to give up a tenth."""
    tiers = tiers or (Tier.NORMAL, Tier.NORMAL)
    specs = [LoadSpec(row, profile, tiers[row]) for row, profile in enumerate((MINER, RACK))]
    park = Park(Loads.build(specs, prices))
    park.memory = replace(park.memory, earning=np.array(earning))
    plan = park.plan(0.9 * float(park.loads.nameplate_w.sum()))
    return [bool(level < top) for level, top in zip(plan.level, park.loads.top, strict=True)]


def test_the_price_decides_who_gives_way_and_the_tier_before_it() -> None:
    assert shed(Economics(per_ths=0.002, per_gpu=2.0)) == [True, False]
    assert shed(Economics(per_ths=2.0, per_gpu=0.02)) == [False, True]
    assert shed(Economics(per_ths=2.0, per_gpu=0.02), Tier.NORMAL, Tier.CRITICAL) == [True, False]


def test_a_rack_whose_jobs_are_gone_gives_way_before_a_miner_at_work() -> None:
    assert shed(Economics(per_ths=0.002, per_gpu=2.0), earning=(1.0, 0.001)) == [False, True]
