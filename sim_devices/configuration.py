"""A simulated plant as a newcomer would write it into a configuration file."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from drivers.profile import Role
from sim_devices.layout import Circuit


@dataclass(frozen=True, slots=True)
class PlantDevice:
    """A device as a configuration names it."""

    id: str
    profile: str
    address: str
    role: Role
    circuit: str | None = None
    fed_by: str | None = None


_HOST = re.compile(r"(modbus://[\d.]+\.)(\d+)(:.*)")
_UNIT = re.compile(r"(modbus://.+/)(\d+)()")
_LAST_NUMBER = re.compile(r"(.*?)(\d+)()")


def config_toml(circuits: Iterable[Circuit], devices: Sequence[PlantDevice]) -> str:
    """`[[circuits]]` and `[[devices]]` of a configuration file; neighbours of a kind share one entry."""
    return "\n".join([*map(_circuit, circuits), *(_entry(run, where) for run, where in _runs(devices))])


def _circuit(circuit: Circuit) -> str:
    parent = "" if circuit.parent is None else f'parent = "{circuit.parent}"\n'
    return f'[[circuits]]\nid = "{circuit.id}"\nmax_mw = {_mw(circuit.max_w)}\n{parent}'


def _mw(watts: float) -> str:
    return f"{watts / 1e6:.6f}".rstrip("0").removesuffix(".") or "0"


def _runs(devices: Iterable[PlantDevice]) -> Iterator[tuple[list[PlantDevice], re.Pattern[str]]]:
    """Neighbours that one entry can stand for, and what of their addresses counts."""
    run: list[PlantDevice] = []
    where = _HOST
    for device in devices:
        if len(run) == 1:
            # The second one shows whether they are units behind one address.
            where = _UNIT if _after(run[0], 1, _UNIT) == device else _HOST
        if run and _after(run[0], len(run), where) != device:
            yield run, where
            run = []
        run.append(device)
    if run:
        yield run, where


def _after(first: PlantDevice, offset: int, where: re.Pattern[str]) -> PlantDevice:
    """The device that would stand `offset` places after another in one entry."""
    return replace(
        first,
        id=_counted(first.id, offset),
        address=_counted(first.address, offset, where),
        fed_by=None if first.fed_by is None else _counted(first.fed_by, offset),
    )


def _counted(text: str, offset: int, where: re.Pattern[str] = _LAST_NUMBER) -> str:
    before, digits, after = _split(text, where)
    return f"{before}{int(digits) + offset:0{_width(digits)}}{after}"


def _spanned(text: str, count: int, where: re.Pattern[str] = _LAST_NUMBER) -> str:
    if count == 1:
        return text
    before, digits, after = _split(text, where)
    return f"{before}{{{digits}-{int(digits) + count - 1:0{_width(digits)}}}}{after}"


def _split(text: str, where: re.Pattern[str]) -> tuple[str, str, str]:
    """A text around the number that counts in it; a text without one counts from 0 at its end."""
    match = where.fullmatch(text) or _LAST_NUMBER.fullmatch(text)
    return (match[1], match[2], match[3]) if match else (text, "0", "")


def _width(digits: str) -> int:
    return len(digits) if digits.startswith("0") else 0


def _entry(run: Sequence[PlantDevice], where: re.Pattern[str]) -> str:
    first, count = run[0], len(run)
    pairs = {
        "id": _spanned(first.id, count),
        "profile": first.profile,
        "address": _spanned(first.address, count, where),
        "role": str(first.role) if first.role is Role.CHECK_METER else None,
        "circuit": first.circuit,
        "fed_by": None if first.fed_by is None else _spanned(first.fed_by, count),
    }
    lines = [f'{key} = "{value}"\n' for key, value in pairs.items() if value is not None]
    return "[[devices]]\n" + "".join(lines)
