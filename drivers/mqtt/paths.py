"""Where a value stands in a JSON message: `ENERGY.Power`, `PDUData[0].PowerData[3]`, `"a.b".total`. Pure."""

import re
from functools import lru_cache

Path = tuple[str | int, ...]
"""Names of members and indices of arrays, from the outside in."""

_STEP = re.compile(
    r"""
      \[ (?P<index> 0 | [1-9][0-9]{0,5} ) \]
    | (?P<dot> \.? ) (?: " (?P<quoted> [^"]+ ) " | (?P<bare> [^.\[\]"]+ ) )
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=4096)  # a profile has few, and its simulated devices ask for them all the time
def parse_path(text: str) -> Path:
    """Read a path; a name with a dot, a bracket or a space around it is written in double quotes.

    Raises:
        ValueError: what is wrong.
    """
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        # A dot stands between names: before the first there is none, after an index there is one.
        if match is None or (match["index"] is None and bool(match["dot"]) != bool(steps)):
            raise ValueError(f"{text!r} is no path: it goes wrong at {text[at:]!r}")
        steps.append(int(match["index"]) if match["index"] else match["quoted"] or match["bare"])
        at = match.end()
    if not steps:
        raise ValueError("a path is empty")
    return tuple(steps)
