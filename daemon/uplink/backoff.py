"""How long to wait before the exchange is asked again."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from daemon.clock import Entropy

SHORTEST_S = 1.0
LONGEST_S = 300.0


def delay_s(failures: int, retry_after_s: float | None, entropy: Entropy) -> float:
    """Full jitter up to 2 s, 4 s, … 300 s after the first, second, … failure in a row.

    Never sooner than the exchange asked for; a wait longer than `LONGEST_S` is believed up to an hour.
    """
    ceiling_s = min(LONGEST_S, SHORTEST_S * 2.0 ** min(failures, 10))
    jittered_s = entropy.uniform(SHORTEST_S, max(SHORTEST_S, ceiling_s))
    if retry_after_s is None:
        return jittered_s
    asked_s = min(max(retry_after_s, 0.0), 3600.0)
    return max(jittered_s, asked_s + entropy.uniform(0.0, SHORTEST_S))


def parse_retry_after(text: str | None, now_s: float) -> float | None:
    """Seconds to wait by a `Retry-After` field (RFC 9110 §10.2.3); `None` if there is none to read."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now_s)
