"""Answers to commands, signed by the site."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daemon.commands.words import RSP_TYP, Reason, Status
from daemon.signing import PrivateKey, dumps, sign

LIFE_S = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """A signed answer to the command `jti` of `kid`."""

    kid: str
    jti: str
    status: Status
    exp: int
    jws: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an answer says; `reason` with rejected, `detail` with failed and rejected, `result` with done."""

    status: Status
    reason: Reason | None = None
    detail: str | None = None
    result: Mapping[str, Any] | None = None

    @classmethod
    def accepted(cls) -> "Outcome":
        """It will be done."""
        return cls(Status.ACCEPTED)

    @classmethod
    def rejected(cls, reason: Reason, detail: str) -> "Outcome":
        """It will not be done."""
        return cls(Status.REJECTED, reason=reason, detail=detail)

    @classmethod
    def done(cls, result: Mapping[str, Any] | None = None) -> "Outcome":
        """It is done."""
        return cls(Status.DONE, result=result or {})

    @classmethod
    def failed(cls, detail: str) -> "Outcome":
        """It was accepted and did not come about."""
        return cls(Status.FAILED, detail=detail)


def compose(
    outcome: Outcome, *, site: str, key: PrivateKey, kid: str, jti: str, seq: int, now_s: float
) -> Answer:
    """The answer to command `jti` of `kid`, signed now."""
    iat = int(now_s)
    claims: dict[str, Any] = {
        "iss": site,
        "aud": kid,
        "jti": jti,
        "seq": seq,
        "iat": iat,
        "exp": iat + LIFE_S,
        "status": outcome.status,
    }
    said = {"reason": outcome.reason, "detail": outcome.detail, "result": outcome.result}
    claims |= {name: value for name, value in said.items() if value is not None}
    return Answer(kid, jti, outcome.status, iat + LIFE_S, sign(dumps(claims), RSP_TYP, key))
