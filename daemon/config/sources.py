"""Reading the files: TOML, `conf.d`, CSV. Knows where every table stands, and nothing of its meaning."""

import csv
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.config.models import DeviceTable, Document
from daemon.config.problems import Entry, Problems, shown, suggestion

_TABLES = ("site", "control", "economics", "keys", "mqtt", "settlement", "modbus", "http", "trust")
_LISTS = ("circuits", "devices", "devices_csv")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(slots=True)
class Sources:
    """Every table of every file."""

    path: Path
    tables: dict[str, Entry] = field(default_factory=dict)
    lists: dict[str, list[Entry]] = field(default_factory=dict)
    """Among them `trust.keys`."""
    readable: bool = True
    """Whether every file could be read: if not, what is missing may be in the other file."""


def read_sources(path: Path, problems: Problems) -> Sources:
    """The main file, then `conf.d/*.toml` beside it in the order of their names, then the CSV lists."""
    sources = Sources(path)
    for file in [path, *sorted((path.parent / "conf.d").glob("*.toml"))]:
        document = _read_toml(file, problems)
        if document is None:
            sources.readable = False
        else:
            _merge(sources, str(file), document, problems)
    for entry in sources.lists.get("devices_csv", []):
        name = entry.get("file", str)
        devices = _read_csv(path.parent / name, entry, problems) if name else None
        if devices is None:
            sources.readable = False
        else:
            sources.lists.setdefault("devices", []).extend(devices)
    return sources


def _read_toml(file: Path, problems: Problems) -> dict[str, Any] | None:
    try:
        text = file.read_bytes().decode("utf-8")
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        problems.add(str(file), "", what, "name a file that this user may read")
        return None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.add(str(file), f"line {line}", "is not UTF-8", "save the file as UTF-8")
        return None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        column = f", column {place[2]}" if place and place[2] else ""
        what = _PLACE.sub("", message)
        problems.add(str(file), f"line {line}{column}", f"is not TOML: {what}", "mend the syntax there")
        return None


def _merge(sources: Sources, file: str, document: dict[str, Any], problems: Problems) -> None:
    """Add a file: lists grow, tables take keys that no earlier file has set."""
    for name, value in document.items():
        if name in _LISTS:
            _extend(sources, name, file, value, problems)
        elif name not in _TABLES:
            problems.add(file, name, "is not a known table", suggestion(name, Document.model_fields))
        elif not isinstance(value, dict):
            problems.add(file, name, f"is {shown(value)}", f"write a table: [{name}]")
        elif name == "trust":
            for key, inner in value.items():
                if key == "keys":
                    _extend(sources, "trust.keys", file, inner, problems)
                else:
                    problems.add(file, f"trust.{key}", "is not a known key", "write [[trust.keys]] entries")
        elif name in sources.tables:
            _join(sources.tables[name], file, value, problems)
        else:
            sources.tables[name] = Entry(name, file, dict(value))


def _extend(sources: Sources, name: str, file: str, value: Any, problems: Problems) -> None:
    if not isinstance(value, list):
        problems.add(file, name, f"is {shown(value)}", f"write a list of tables: [[{name}]]")
        return
    entries = sources.lists.setdefault(name, [])
    for index, item in enumerate(value):
        label = f"{name}[{index}]"
        if isinstance(item, dict):
            entries.append(Entry(label, file, item))
        else:
            problems.add(file, label, f"is {shown(item)}", f"write a table: [[{name}]]")


def _join(entry: Entry, file: str, value: dict[str, Any], problems: Problems) -> None:
    key_files = dict(entry.key_files)
    for key, inner in value.items():
        if key in entry.raw:
            earlier = key_files.get(key, entry.file)
            problems.add(file, entry.path((key,)), f"is already set in {earlier}", "set it in one file only")
        else:
            entry.raw[key] = inner
            key_files[key] = file
    entry.key_files = key_files


def _read_csv(file: Path, origin: Entry, problems: Problems) -> list[Entry] | None:
    """A device a line; empty cells count as not given. `None` = the file cannot be used."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        what = f"{file} cannot be read: {error.strerror}"
        origin.add(problems, ("file",), what, "name a file that this user may read")
        return None
    except (UnicodeDecodeError, csv.Error) as error:
        problems.add(str(file), "", f"is not CSV in UTF-8: {error}", "write comma-separated lines in UTF-8")
        return None
    if not _header_is_good(file, header, problems):
        return None
    entries = []
    for line, row in rows:
        if len(row) != len(header):
            problems.add(
                str(file), f"line {line}", f"has {len(row)} cells", f"write {len(header)}, as the header has"
            )
            continue
        cells = zip(header, (cell.strip() for cell in row), strict=True)
        raw: dict[str, Any] = {name: cell for name, cell in cells if cell}
        if "period_s" in raw:
            raw["period_s"] = _number(raw["period_s"])
        if raw.get("allow_unverified_writes") in {"true", "false"}:
            raw["allow_unverified_writes"] = raw["allow_unverified_writes"] == "true"
        entries.append(Entry(f"line {line}", str(file), raw, separator=": "))
    return entries


def _header_is_good(file: Path, header: list[str], problems: Problems) -> bool:
    good = True
    for name in dict.fromkeys(header):
        if name not in DeviceTable.model_fields:
            good = False
            right = suggestion(name, DeviceTable.model_fields)
            problems.add(str(file), f"line 1: {name}", "is not a known column", right)
        elif header.count(name) > 1:
            good = False
            problems.add(str(file), f"line 1: {name}", "is there twice", "name each column once")
    if not header:
        problems.add(str(file), "line 1", "is empty", "name the columns: id,profile,address")
        good = False
    return good


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
