"""Twenty thousand bent orders: none counts, each gets its word, every whole one counts."""

from random import Random

import pytest

from tests.world.mutated_orders import WITH_KEY, WITHOUT_KEY
from tests.world.order_fuzz import OrderFuzzError, fuzz_orders

CASES = 20_000
SEED = 6


def test_bent_orders_never_count_and_whole_ones_always_do() -> None:
    tally = fuzz_orders(SEED, CASES)
    assert tally.total() == CASES
    assert tally["whole"] == CASES // 100
    kinds = {make(Random(seed)).name for make in {*WITHOUT_KEY, *WITH_KEY} for seed in range(30)}
    assert kinds <= set(tally)


def test_a_verifier_that_takes_any_signature_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.commands.verifier.verify", lambda _envelope, _key: None)
    with pytest.raises(OrderFuzzError, match="taken"):
        fuzz_orders(SEED, 500)


def test_a_verifier_that_refuses_what_is_whole_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.commands.verifier.MAX_AHEAD_S", -1)
    with pytest.raises(OrderFuzzError, match="refused"):
        fuzz_orders(SEED, 1)


def test_a_verifier_that_looks_at_no_clock_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.commands.demands.SKEW_S", 10**9)
    with pytest.raises(OrderFuzzError, match="expired on"):
        fuzz_orders(SEED, 2_000)
