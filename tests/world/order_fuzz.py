"""Bent orders by the thousand, each judged by what it was known to come to. A seed replays a run."""

from collections import Counter
from random import Random

from daemon.commands.verdicts import Command, HearLease, Refused, TakeQuota
from tests.world.mutated_orders import Case, bent, whole
from tests.world.orders import VERIFIER, judge

WHOLE_EVERY = 100
"""One message in so many is whole, and must be taken."""


class OrderFuzzError(Exception):
    """A message was taken, refused or judged as it must not be."""


def fuzz_orders(seed: int, cases: int) -> Counter[str]:
    """Judge so many messages; how many there were of each kind.

    Raises:
        OrderFuzzError: one came to the wrong verdict.
    """
    rng, tally = Random(seed), Counter[str]()
    for number in range(cases):
        case = whole(rng) if number % WHOLE_EVERY == 0 else bent(rng)
        problem = problem_with(case)
        if problem is not None:
            where = f"seed {seed}, message {number}, {case.name} on {case.lane.value}"
            raise OrderFuzzError(f"{where}: {problem}\n{case.payload[:2000]!r}")
        tally[case.name] += 1
    return tally


def problem_with(case: Case) -> str | None:
    """What is wrong with the verdict on a message; `None` = nothing."""
    VERIFIER.keys.claimed_signer(case.lane, case.payload)  # looks at it before anything has been checked
    verdict = judge(case.payload, case.lane, **case.facts)
    if not case.words:
        return None if isinstance(verdict, TakeQuota | HearLease | Command) else f"refused: {verdict}"
    if not isinstance(verdict, Refused):
        return f"taken: {verdict}"
    if verdict.reason not in case.words:
        return f"{verdict.reason.value} ({verdict.detail}); right would be {sorted(case.words)}"
    if verdict.jti is not None and not case.answerable:
        return "an answer to an unsigned sender"
    return None
