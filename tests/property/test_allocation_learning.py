"""Of whom anything was learned: the curves of all others are taken over as they are."""

from dataclasses import replace
from functools import partial

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.allocation.learning import observed
from tests.world.paper_loads import MINER, RACK, STOCK, Park, loads_of

LOADS = 12


@settings(max_examples=100)
@given(seed=st.integers(0, 1 << 32), looks=st.integers(1, 8))
def test_it_is_said_of_whom_anything_was_learned_and_of_nobody_else(seed: int, looks: int) -> None:
    rng = np.random.default_rng(seed)
    loads = loads_of(*[MINER, RACK, STOCK] * (LOADS // 3))
    park = Park(loads).at(*rng.integers(0, loads.top + 1).tolist())
    park.memory = replace(park.memory, met=rng.random(loads.watts.shape) < 0.5)
    for _ in range(looks):
        park.now_s += 5.0
        before = park.memory
        drawn_w = before.at_level_w() + rng.choice([0.0, 0.01, 1.0, -90.0, np.nan], LOADS)
        output = loads.output[loads.index, before.level] * rng.choice([1.0, 0.99995, 0.7, np.nan], LOADS)
        sampled_s = np.where(rng.random(LOADS) < 0.5, park.now_s - 0.5, before.seen_s)
        park.memory = observed(before, loads, drawn_w, sampled_s, park.now_s, partial(np.copy, output))
        after = park.memory
        learned = (after.learned_w != before.learned_w).any(axis=1) | (after.earning != before.earning)
        learned |= (after.met != before.met).any(axis=1)
        assert (after.learned_s != before.learned_s).tolist() == learned.tolist()
        assert (after.at_level_w() == replace(after).at_level_w()).all()
