"""A simulated site has a cooling plant that is built for its loads, whatever its size."""

import numpy as np
import pytest

from daemon.metering.nonsense import Believable
from drivers.profile import Role
from drivers.profiles import load_profile
from sim_devices.layout import lay_out
from sim_devices.physics.cooling import DESIGN_C, PER_DEGREE

HOTTEST_C = 45.0


@pytest.mark.parametrize("miners", [4, 200, 220, 2_000, 30_000])
def test_what_cooling_draws_in_the_heat_is_believed(miners: int) -> None:
    plant = lay_out(miners=miners, racks=0, pdus=None, seed=1, profile=load_profile, mix={"sim-miner": 1})
    (cooling,) = (spec for spec in plant.specs if spec.role is Role.COOLING)
    built_for_w = load_profile(cooling.profile).nameplate_w
    assert built_for_w >= 0.1 * plant.nameplate_w
    hottest_w = plant.nameplate_w * plant.model.cooling.share * (1 + PER_DEGREE * (HOTTEST_C - DESIGN_C))
    believable = Believable.of(np.array([built_for_w]), 0.0)
    assert believable.sane(np.array([hottest_w])) == pytest.approx(hottest_w)


def test_a_small_site_does_not_count_a_large_ones_cooling_while_it_is_unknown() -> None:
    names = ("sim-cooling", "sim-cooling-hall", "sim-cooling-site")
    sizes_w = [load_profile(name).nameplate_w for name in names]
    assert sizes_w == sorted(sizes_w)
    small = lay_out(miners=12, racks=1, pdus=None, seed=1, profile=load_profile)
    assert "sim-cooling" in {spec.profile for spec in small.specs}
