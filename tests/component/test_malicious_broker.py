"""Whoever owns the broker can delay and drop; the limit never rises by it, and nothing happens twice."""

import pytest

from tests.world.malicious_broker import TurnedError, run
from tests.world.signed_orders_oracle import Document, Terms, most_w

TERMS = Terms(contract_w=1_000, failsafe_w=300, lease_s=120, offset_s=0, ramp_s=100)
T = 1_000_000


def test_the_limit_in_force_is_never_above_the_oracles() -> None:
    outcome = run(6, 8)
    # Not for want of a chance: for minutes the limit was as high as any order of delivery could make it.
    assert outcome.at_most > 120
    assert outcome.above_failsafe > 120
    assert outcome.messages > 500


@pytest.mark.parametrize(
    ("check", "problem"), [("stale", "in the order of these revisions"), ("untimely", "after its time")]
)
def test_a_site_that_leaves_out_a_check_is_found(
    monkeypatch: pytest.MonkeyPatch, check: str, problem: str
) -> None:
    monkeypatch.setattr(f"daemon.commands.verifier.{check}", lambda *_: None)
    with pytest.raises(TurnedError, match=problem):
        run(2, 5)


# --- the oracle itself ---


def quota(rev: int, limit_w: int | None, *, at: int = T, taken: bool = False) -> Document:
    claims = {"iat": at, "rev": rev, "exp": at + 10_000}
    return Document("quota", claims, [(at, at + 10_000, limit_w)], taken_s=at if taken else None)


def lease(rev: int, at: int = T) -> Document:
    return Document("lease", {"iat": at, "exp": at + 300, "rev": rev})


def hold(kind: str, seq: int, limit_w: int | None = None, *, taken: bool = False) -> Document:
    return Document(kind, {"iat": T, "seq": seq}, limit_w=limit_w, taken_s=T if taken else None)


@pytest.mark.parametrize(
    ("documents", "after_s", "watts"),
    [
        ([quota(1, 800)], 0, 300),
        ([quota(1, 800), lease(1)], 119, 800),
        ([quota(1, None), lease(1)], 0, 1_000),
        ([quota(1, 9_000), lease(1)], 0, 1_000),
        ([quota(1, 0), lease(1)], 0, 300),
        ([quota(1, 800), lease(1)], 121, 800),
        ([quota(1, 800), lease(1)], 171.1, 550),
        ([quota(1, 800), lease(1)], 300, 300),
        ([quota(1, 800), lease(1)], 20_000, 300),
        # A quota that never arrives changes nothing; one that has been taken is in force.
        ([quota(1, 800), lease(1), quota(2, 400)], 10, 800),
        ([quota(1, 800), lease(1), quota(2, 400, taken=True)], 10, 400),
        ([quota(1, 400), lease(1), quota(2, 800)], 10, 800),
        ([quota(1, 800), quota(2, 400), lease(2)], 10, 400),
        ([quota(1, 800), lease(1), hold("hold", 1, 500)], 0, 800),
        ([quota(1, 800), lease(1), hold("hold", 1, 500, taken=True)], 0, 500),
        ([quota(1, 800), lease(1), hold("hold", 1, 500, taken=True), hold("release_hold", 2)], 0, 800),
        ([quota(1, 800), lease(1), hold("hold", 3, 500, taken=True), hold("release_hold", 2)], 0, 500),
        ([quota(1, 800), lease(1), hold("hold", 1, 500, taken=True), hold("hold", 2, 600)], 0, 600),
    ],
)
def test_the_oracle(documents: list[Document], after_s: float, watts: float) -> None:
    assert most_w(documents, T + after_s, TERMS) == pytest.approx(watts)
