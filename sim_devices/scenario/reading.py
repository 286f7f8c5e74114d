"""Reads scenario files."""

import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sim_devices.scenario.document import ScenarioDocument, ScenarioError

TAG = "fault"


def load_scenario(path: Path) -> ScenarioDocument:
    """The scenario in a TOML or JSON file.

    Raises:
        ScenarioError: it cannot be read, or has mistakes: each on a line of its own, with file and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from error
    try:
        match path.suffix:
            case ".toml":
                raw: Any = tomllib.loads(text)
            case ".json":
                raw = json.loads(text, object_pairs_hook=_without_duplicates)
            case suffix:
                raise ScenarioError(f'{path}: is a "{suffix}" file; .toml or .json would be right')
    except ValueError as error:
        raise ScenarioError(f"{path}: {error}") from error
    return parse_scenario(raw, str(path))


def parse_scenario(raw: object, file: str) -> ScenarioDocument:
    """The scenario in what a file holds.

    Raises:
        ScenarioError: as `load_scenario`.
    """
    try:
        return ScenarioDocument.model_validate(raw)
    except ValidationError as error:
        raise ScenarioError("\n".join(_mistakes(error, file))) from error


def _mistakes(error: ValidationError, file: str) -> Iterator[str]:
    seen = set()
    for each in error.errors(include_url=False):
        line = f"{file}: {_key(each['loc'])}: {_what(each)}"
        if line not in seen:
            seen.add(line)
            yield line


def _what(mistake: ErrorDetails) -> str:
    match mistake["type"]:
        case "union_tag_invalid":
            known = mistake["ctx"]["expected_tags"].replace("'", '"')
            return f'is "{mistake["ctx"]["tag"]}", no known fault; known are {known}'
        case "union_tag_not_found":
            return 'has no fault; give one, such as fault = "latency"'
        case "extra_forbidden":
            return "is not known here; take it away, or mend its spelling"
        case "missing":
            return "is missing"
        case "value_error":
            return str(mistake["ctx"]["error"])
        case _:
            return f"is {mistake['input']!r}; {mistake['msg'][0].lower()}{mistake['msg'][1:]}"


def _key(loc: Sequence[str | int]) -> str:
    """The path of a mistake as one would write it: `events[2].seconds`."""
    parts = list(loc)
    if len(parts) > 2 and parts[0] == "events":
        # pydantic names the fault between the event and its key.
        del parts[2]
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "[" not in part and "-" not in part:
            # What has such signs names a variant of the value's type.
            text += f".{part}" if text else part
    return text or "file"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f'"{name}" stands twice in one object; keep one')
        members[name] = value
    return members
