"""Mistakes, one line each: `FILE: key.path: what is wrong; what would be right`."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

Value = TypeVar("Value")
Model = TypeVar("Model", bound=BaseModel)


class Problems:
    """The mistakes found so far, in the order found, each once."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def add(self, file: str, path: str, what: str, right: str) -> None:
        """Note a mistake. `path` may be empty: then it is the file's."""
        where = f"{file}: {path}" if path else file
        self._lines[_one_line(f"{where}: {what}; {right}")] = None

    @property
    def lines(self) -> list[str]:
        """One line for each mistake."""
        return list(self._lines)


def _one_line(text: str) -> str:
    """Without line breaks or terminal controls, which a value or a file's name may hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


@dataclass(slots=True)
class Entry:
    """A table of the configuration and where it stands.

    Checks across tables use `get`, so that a mistake in one key hides none in another.
    """

    label: str
    """Its key path, such as `devices[3]`."""
    file: str
    raw: dict[str, Any]
    key_files: Mapping[str, str] = field(default_factory=dict)
    """The files of keys that do not come from `file`."""
    separator: str = "."
    bad: set[str] = field(default_factory=set)
    """Keys that already have a mistake."""

    def get(self, key: str, kind: type[Value]) -> Value | None:
        """A key's value if it is there and has no mistake."""
        value = self.raw.get(key)
        return value if key not in self.bad and isinstance(value, kind) else None

    def path(self, location: Iterable[str | int]) -> str:
        """The key path of a place inside."""
        text = ""
        for part in location:
            text += f"[{part}]" if isinstance(part, int) else f".{part}"
        return self.label + self.separator + text.removeprefix(".") if text else self.label

    def add(self, problems: Problems, location: tuple[str | int, ...], what: str, right: str) -> None:
        """Note a mistake at a place inside."""
        key = str(location[0]) if location else ""
        self.bad.add(key)
        problems.add(self.key_files.get(key, self.file), self.path(location), what, right)


def validate(entry: Entry, model: type[Model], problems: Problems) -> Model | None:
    """The entry as a model; `None` when it has mistakes, which are then noted."""
    try:
        return model.model_validate(entry.raw)
    except ValidationError as error:
        # A union reports every alternative that failed; a key needs one line.
        seen: set[tuple[str | int, ...]] = set()
        for details in error.errors(include_url=False):
            location, known = _location(model, details["loc"])
            if location not in seen:
                seen.add(location)
                entry.add(problems, location, *_words(details, known))
    return None


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to write instead of a word nobody knows."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return "there is none"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"write one of: {shown}"


def shown(value: Any) -> str:
    """A TOML value, short enough for a line, with its type where that may be the mistake."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value[:60]}{"…" if len(value) > 60 else ""}"'
        case dict():
            return "a table"
        case list():
            return "an empty list" if not value else "a list"
        case _:
            return str(value)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the models say about a place."""

    table: type[BaseModel] | None
    """The model whose key it is."""
    info: FieldInfo | None


def _location(model: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], _Known]:
    """The part of pydantic's location that is in the file (no names of union members), and its model."""
    table: type[BaseModel] | None = model
    info: FieldInfo | None = None
    kept: list[str | int] = []
    for position, part in enumerate(loc):
        if isinstance(part, int):
            kept.append(part)
            continue
        owner = table
        if owner is None:
            break
        info = owner.model_fields.get(part)
        kept.append(part)
        if info is None or position == len(loc) - 1:
            return tuple(kept), _Known(owner, info)
        table = _inner(info.annotation)
        if table is None:
            return tuple(kept), _Known(owner, info)
    return tuple(kept), _Known(None, info)


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The model inside `Model | None` or `list[Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part))), None)


def _words(details: ErrorDetails, known: _Known) -> tuple[str, str]:
    """What is wrong and what would be right."""
    right = known.info.description if known.info and known.info.description else "see docs/config.schema.json"
    match details["type"]:
        case "mistake":
            return details["ctx"]["what"], details["ctx"]["right"]
        case "missing":
            return "is missing", right
        case "extra_forbidden":
            key = str(details["loc"][-1])
            if key == "d":
                return "is a private key", "give the public half, and retire this key: it is no secret now"
            return "is not a known key", suggestion(key, known.table.model_fields if known.table else ())
        case _:
            return f"is {shown(details['input'])}", right
