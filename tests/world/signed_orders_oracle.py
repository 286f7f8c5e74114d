"""What may be in force at most, whatever the broker does: from the signed documents and their times alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

EDGE_S = 1.1
"""A cycle's length: so late may the end of a lease be seen."""


@dataclass
class Document:
    """A document with a good signature. Times are Unix seconds; `taken_s` = when the site said it has it."""

    kind: str
    claims: dict[str, Any]
    schedule: Sequence[tuple[int, int, int | None]] = ()
    limit_w: int | None = None
    until: float = float("inf")
    taken_s: float | None = None


@dataclass(frozen=True)
class Terms:
    """The site's configuration."""

    contract_w: int
    failsafe_w: int
    lease_s: float
    offset_s: float
    ramp_s: float


def most_w(documents: Sequence[Document], now_s: float, terms: Terms) -> float:
    """The highest limit that any order of delivery, loss and repetition could justify."""
    signed = [one for one in documents if one.claims["iat"] <= now_s]
    quotas = [one for one in signed if one.kind == "quota"]
    held = max((one.claims["rev"] for one in quotas if one.taken_s is not None), default=0)

    def by_quota(rev: int, at_s: float) -> float:
        """A lease for `rev` keeps that quota or any later one alive, but none before the one taken last."""
        alive = [one for one in quotas if one.claims["rev"] >= max(rev, held if at_s >= now_s else 0)]
        return max((_scheduled(one, at_s, terms) for one in alive), default=terms.failsafe_w)

    most = float(terms.failsafe_w)
    for lease in (one for one in signed if one.kind == "lease"):
        end_s = min(lease.claims["exp"], lease.claims["iat"] + terms.lease_s)
        if now_s < end_s:
            most = max(most, by_quota(lease.claims["rev"], now_s))
            continue
        down = (now_s - end_s - EDGE_S - terms.offset_s) / terms.ramp_s
        if down < 1:
            from_w = max(
                by_quota(lease.claims["rev"], end_s - back_s) for back_s in (0.0, EDGE_S, 2 * EDGE_S)
            )
            most = max(most, from_w - max(down, 0.0) * max(from_w - terms.failsafe_w, 0.0))
    for lowering, lifting in (("hold", "release_hold"), ("set_limit", "unset_limit")):
        most = min(most, _overlay(signed, lowering, lifting, now_s))
    return min(most, terms.contract_w)


def _scheduled(quota: Document, at_s: float, terms: Terms) -> float:
    for start, end, limit_w in quota.schedule:
        if start <= at_s < end:
            return terms.contract_w if limit_w is None else limit_w
    return terms.failsafe_w


def _overlay(signed: Sequence[Document], lowering: str, lifting: str, now_s: float) -> float:
    """A limit that was taken stands until one that was signed after it takes its place."""
    family = sorted(
        (one for one in signed if one.kind in {lowering, lifting}), key=lambda one: one.claims["seq"]
    )
    taken = [at for at, one in enumerate(family) if one.taken_s is not None and one.taken_s <= now_s]
    if not taken:
        return float("inf")
    possible = family[taken[-1] :]
    return max(
        float("inf") if one.kind == lifting or now_s >= one.until or one.limit_w is None else one.limit_w
        for one in possible
    )
