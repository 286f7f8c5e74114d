"""The one form of a time on the wire: `YYYY-MM-DDTHH:MM:SSZ`."""

import re
from datetime import UTC, datetime
from functools import lru_cache

_FORM = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)


def format_utc(unix_s: float) -> str:
    """The second in which `unix_s` lies."""
    return _format_second(int(unix_s // 1))


@lru_cache(maxsize=8)  # one cycle stamps many things with one second
def _format_second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_utc(text: str) -> int:
    """Unix seconds of an exact `YYYY-MM-DDTHH:MM:SSZ`.

    Raises:
        ValueError: any other form, or no such moment.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(f"{text!r} is not of the form YYYY-MM-DDTHH:MM:SSZ")
    return int(datetime.fromisoformat(text).timestamp())
