"""Client, server and network against a model: whatever goes wrong, everything arrives once and in order."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from sim_devices.exchange.faults import Faults, WrongReceipt
from tests.world.settlement_world import SITE, SettlementWorld

EXAMPLES = int(os.environ.get("SETTLEMENT_EXAMPLES", "0"))
"""`make crash` takes many, and other ones each time; `make test` the same few."""

Trouble = Callable[[Faults], None]
"""Turns something on at the exchange or on the way to it."""

SECONDS = st.sampled_from([20, 60, 200, 600])
TIMES = st.sampled_from([1, 2, 5, None])
"""How many requests are met by a trouble; `None`: all until it is cleared."""


def _trouble(turn_on: Callable[..., None], **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Trouble]:
    def armed(**how: Any) -> Trouble:
        return lambda faults: turn_on(faults, **how)

    return st.builds(armed, times=TIMES, **members)


TROUBLES = st.one_of(
    _trouble(Faults.drop_before_commit),
    _trouble(Faults.drop_after_commit),
    _trouble(Faults.truncate),
    _trouble(Faults.delay, seconds=st.sampled_from([1, 30, 90])),
    _trouble(Faults.refuse, status=st.sampled_from([401, 403, 408, 425, 500, 503])),
    _trouble(Faults.refuse, status=st.just(429), retry_after_s=st.sampled_from([0, 30, 400])),
    _trouble(Faults.falsify, kind=st.sampled_from(WrongReceipt)),
)


class SettlementMachine(RuleBasedStateMachine):
    """A site's settlement. In the end it must come to rest by itself, and nothing be lost or doubled."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = SettlementWorld(Path(self.folder.name))

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self.world.run(seconds)

    @rule(trouble=TROUBLES, seconds=SECONDS)
    def the_exchange_is_hard_to_reach(self, trouble: Trouble, seconds: int) -> None:
        trouble(self.world.exchange.faults)
        self.world.run(seconds)

    @rule(seconds=SECONDS)
    def the_exchange_loses_its_last_day(self, seconds: int) -> None:
        """No copy of the store is older than that: what both sides have lost nobody brings back."""
        self.world.copies.clear()
        self.world.exchange.book.lose_last_day(SITE)
        self.world.run(seconds)

    @rule()
    def the_exchange_is_started_again(self) -> None:
        self.world.restart_exchange()

    @rule(seconds=SECONDS)
    def the_daemon_dies(self, seconds: int) -> None:
        self.world.down(seconds)

    @rule()
    def the_operator_begins_anew(self) -> None:
        self.world.note()
        self.world.new_epoch()

    @rule(trouble=TROUBLES, before=SECONDS, after=SECONDS, alone=SECONDS)
    def the_store_is_replaced_by_a_copy(self, trouble: Trouble, before: int, after: int, alone: int) -> None:
        """Made in the middle of a trouble, outlived by the store, and out of reach at first."""
        trouble(self.world.exchange.faults)
        self.world.run(before)
        self.world.copy_store()
        self.world.exchange.faults.clear()
        self.world.run(after)
        self.world.exchange.faults.drop_before_commit(None)
        self.world.put_back(self.world.copies[-1])
        self.world.run(alone)
        self.world.exchange.faults.clear()

    @precondition(lambda self: self.world.copies)
    @rule(which=st.integers(0, 99))
    def the_store_is_replaced_by_an_old_copy(self, which: int) -> None:
        """Nobody goes on to a newer copy from there: it knows nothing of what has been told since."""
        number = which % len(self.world.copies)
        del self.world.copies[number + 1 :]
        self.world.put_back(self.world.copies[number])

    def teardown(self) -> None:
        try:
            self.world.settle()
            self.world.check()
        finally:
            self.world.close()
            self.folder.cleanup()


@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_everything_arrives_once_and_in_order() -> None:
    run_state_machine_as_test(
        SettlementMachine,
        settings=settings(
            max_examples=EXAMPLES or 15,
            stateful_step_count=12,
            derandomize=not EXAMPLES,
            suppress_health_check=list(HealthCheck),
            # What led to a failure is told whole by its seed; making it shorter takes minutes.
            phases=[Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
        ),
    )
