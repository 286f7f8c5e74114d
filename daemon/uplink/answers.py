"""What an answer of the exchange asks the site to do (contract §5, last table). Pure."""

from dataclasses import dataclass
from enum import StrEnum

from daemon.signing import MalformedError, loads
from daemon.uplink.backoff import parse_retry_after


class Word(StrEnum):
    """The refusals that the site acts on by name."""

    SEQUENCE_GAP = "sequence-gap"
    LEDGER_FORK = "ledger-fork"
    CHAIN_BROKEN = "chain-broken"
    INVALID_RECORD = "invalid-record"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    content_type: str | None
    retry_after: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """200 or 201: worth as much as the receipt in it."""

    body: bytes
    content_type: str | None


@dataclass(frozen=True, slots=True)
class Missing:
    """The exchange wants to go on from another record."""

    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Refused:
    """These records will never be taken as they are."""

    word: Word
    text: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Fewer records at once."""


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """401 or 403: the exchange does not know us, or not by this key."""

    text: str
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing was decided; ask again."""

    text: str
    retry_after_s: float | None
    expected: bool = True
    """An outage of the other side; `False`: an answer that the contract does not know."""


Verdict = Taken | Missing | Refused | TooLarge | Unauthorized | Later


def judge(answer: Answer, now_s: float) -> Verdict:
    """What to do with the answer to a delivery. `now_s`: Unix seconds, for a `Retry-After` date."""
    wait_s = parse_retry_after(answer.retry_after, now_s)
    if answer.status in {200, 201}:
        return Taken(answer.body, answer.content_type)
    problem = _problem(answer.body)
    word = str(problem.get("type", "")).rpartition("/")[2]
    text = f"{answer.status} {word}".strip()
    detail = problem.get("detail")
    if isinstance(detail, str):
        text = f"{text}: {detail[:200]}"
    verdict: Verdict
    match answer.status, word:
        case 409, Word.SEQUENCE_GAP:
            verdict = _missing(problem) or Later(text, wait_s, expected=False)
        case (409, Word.CHAIN_BROKEN) | (422, (Word.LEDGER_FORK | Word.INVALID_RECORD)):
            verdict = Refused(Word(word), text)
        case 413, _:
            verdict = TooLarge()
        case ((401 | 403), _):
            verdict = Unauthorized(text, wait_s)
        case status, _:
            verdict = Later(text, wait_s, expected=status in {408, 425, 429} or status >= 500)
    return verdict


def _missing(problem: dict[str, object]) -> Missing | None:
    epoch, seq = problem.get("expected_epoch"), problem.get("expected_seq")
    if isinstance(epoch, int) and isinstance(seq, int) and epoch >= 0 and seq >= 1:
        return Missing(epoch, seq)
    return None


def _problem(body: bytes) -> dict[str, object]:
    """Members of a problem document (RFC 9457), or of nothing."""
    try:
        members = loads(body)
    except MalformedError:
        return {}
    return members if isinstance(members, dict) else {}
