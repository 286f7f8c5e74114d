"""One entry for a whole hall: `10.1.{0-15}.{1-254}` counts, `{n}` and `{n:05}` name what is counted."""

import itertools
import re
from collections.abc import Mapping

MOST_DEVICES = 100_000
"""One entry never makes more; a slip of the finger must not eat the machine's memory."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_COUNTER = re.compile(r"n(?::0([1-9]))?", re.ASCII)
_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})", re.ASCII)


class RangeError(ValueError):
    """A field's ranges cannot be used: `what` is wrong, `right` would be right."""

    def __init__(self, field: str, what: str, right: str) -> None:
        super().__init__(f"{field}: {what}; {right}")
        self.field = field
        self.what = what
        self.right = right


def expand(fields: Mapping[str, str]) -> list[dict[str, str]]:
    """Every combination of the ranges of an entry, the last range of a field running fastest.

    Fields with ranges are walked side by side, so they must count equally far. `{n}` is the
    number of the combination, from 1. `{01-12}` writes 01, 02, … 12.

    Raises:
        RangeError: a range that cannot be read, runs backwards, or counts differently from another.
    """
    counted = {name: _variants(text) for name, text in fields.items() if _ranges(name, text)}
    total = 1
    for name, variants in counted.items():
        first = next(iter(counted))
        total = len(variants)
        if total != len(counted[first]):
            raise RangeError(
                name,
                f"counts {total} while {first} counts {len(counted[first])}",
                "give the ranges of one entry the same length",
            )
    if not counted:
        for name, text in fields.items():
            if _BRACES.search(text):
                raise RangeError(
                    name,
                    f"{text!r} has a counter, but nothing in this entry counts",
                    "give another field a range such as {1-240}",
                )
    return [
        {
            name: _number(counted[name][index] if name in counted else text, index + 1)
            for name, text in fields.items()
        }
        for index in range(total)
    ]


def has_braces(text: str) -> bool:
    """Whether a text is a pattern rather than itself."""
    return "{" in text or "}" in text


def _ranges(name: str, text: str) -> list[range]:
    """The ranges of a text, left to right."""
    found = []
    if has_braces(_BRACES.sub("", text)):
        raise RangeError(name, f"{text!r} has a brace without its partner", "write {1-240}, {n} or {n:05}")
    for inner in _BRACES.findall(text):
        if _COUNTER.fullmatch(inner):
            continue
        match = _RANGE.fullmatch(inner)
        if match is None:
            raise RangeError(name, f"{{{inner}}} is no range or counter", "write {1-240}, {n} or {n:05}")
        first, last = int(match[1]), int(match[2])
        if last < first:
            raise RangeError(name, f"{{{inner}}} runs backwards", f"write {{{match[2]}-{match[1]}}}")
        found.append(range(first, last + 1))
    total = 1
    for each in found:
        total *= len(each)
    if total > MOST_DEVICES:
        raise RangeError(
            name, f"counts {total} devices", f"an entry makes at most {MOST_DEVICES}; use shorter ranges"
        )
    return found


def _variants(text: str) -> list[str]:
    """The text with every combination of its ranges; counters are left in place."""
    parts = _BRACES.split(text)  # literal, inner, literal, inner, … literal
    choices: list[list[str]] = []
    for index, part in enumerate(parts):
        if index % 2 == 0:
            choices.append([part])
        elif match := _RANGE.fullmatch(part):
            width = len(match[1]) if match[1].startswith("0") else 0
            choices.append([f"{value:0{width}}" for value in range(int(match[1]), int(match[2]) + 1)])
        else:
            choices.append([f"{{{part}}}"])
    return ["".join(combination) for combination in itertools.product(*choices)]


def _number(text: str, n: int) -> str:
    def digits(match: re.Match[str]) -> str:
        counter = _COUNTER.fullmatch(match[1])
        width = int(counter[1]) if counter and counter[1] else 0
        return f"{n:0{width}}"

    return _BRACES.sub(digits, text)
