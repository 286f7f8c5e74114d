"""The tree of limits: unique names, known parents, no cycle, no child above its parent."""

from collections.abc import Sequence

from daemon.config.devices import Hall, in_circuit
from daemon.config.models import CircuitTable
from daemon.config.problems import Entry, Problems, suggestion, validate
from daemon.config.settings import Circuit
from drivers.profile import Role


def read_circuits(
    entries: Sequence[Entry], hall: Hall, problems: Problems, *, complete: bool
) -> tuple[Circuit, ...]:
    """The circuits; right only if no mistake was noted.

    Args:
        entries: the tables.
        hall: the devices, which name circuits and meter them.
        problems: takes the mistakes.
        complete: whether every file could be read, so that an unknown name is a mistake.
    """
    models = [(entry, validate(entry, CircuitTable, problems)) for entry in entries]
    known: dict[str, Entry] = {}
    for entry in entries:
        name = entry.get("id", str)
        if name is None:
            continue
        earlier = known.setdefault(name, entry)
        if earlier is not entry:
            what = f'"{name}" is already taken by {earlier.label} of {earlier.file}'
            entry.add(problems, ("id",), what, "give every circuit its own id")
    complete = complete and all(entry.get("id", str) is not None for entry in entries)
    for entry in entries:
        _check_parent(entry, known, problems, complete=complete)
        _check_meter(entry, hall, problems)
    _check_cycles(known, problems)
    for device in in_circuit(hall) if complete else ():
        if device.circuit is not None and device.circuit not in known:
            what = f'is "{device.circuit}", no known circuit'
            device.add(problems, "circuit", what, suggestion(device.circuit, known))
    if complete and known:
        _check_outside(hall, problems)
    return tuple(
        Circuit(model.id, watts(model.max_mw), model.parent, model.meter)
        for _, model in models
        if model is not None
    )


def watts(megawatts: float) -> int:
    """W of a number of MW, to the nearest."""
    return round(megawatts * 1_000_000)


def _check_parent(entry: Entry, known: dict[str, Entry], problems: Problems, *, complete: bool) -> None:
    name = entry.get("parent", str)
    if name is None:
        return
    parent = known.get(name)
    if parent is None:
        if not complete:
            return
        others = set(known) - {entry.get("id", str)}
        entry.add(problems, ("parent",), f'is "{name}", no known circuit', suggestion(name, others))
        return
    own, above = _max_mw(entry), _max_mw(parent)
    if own is not None and above is not None and own > above:
        what = f"is {own} MW, above the {above} MW of its parent {name}"
        entry.add(problems, ("max_mw",), what, f"write at most {above}")


def _check_outside(hall: Hall, problems: Problems) -> None:
    """A load that hangs on no circuit would be fed past every limit but the site's."""
    for device in hall.named:
        if device.circuit is None and device.role is Role.LOAD and "circuit" not in device.entry.bad:
            what = "is missing, and there are circuits: this load would count in none of them"
            device.add(problems, "circuit", what, "write the id of the circuit that it hangs on")


def _max_mw(entry: Entry) -> float | None:
    value = entry.get("max_mw", float)
    return value if value is not None else entry.get("max_mw", int)


def _check_meter(entry: Entry, hall: Hall, problems: Problems) -> None:
    name = entry.get("meter", str)
    if name is None:
        return
    roles = hall.roles()
    if name not in roles:
        if not hall.complete:
            return
        meters = [device for device, role in roles.items() if role is Role.CIRCUIT_METER]
        entry.add(problems, ("meter",), f'is "{name}", no known device', suggestion(name, meters))
    elif roles[name] not in {Role.CIRCUIT_METER, Role.PDU, None}:
        what = f'is "{name}", whose role is {roles[name]}'
        entry.add(problems, ("meter",), what, 'name a device of role "circuit-meter" or "pdu"')


def _check_cycles(known: dict[str, Entry], problems: Problems) -> None:
    """Each cycle is noted once, at the first of its circuits in the file."""
    noted: set[str] = set()
    for start, entry in known.items():
        way = [start]
        while (above := known[way[-1]].get("parent", str)) in known and above not in way:
            way.append(above)
        if above == start and start not in noted:
            noted.update(way)
            circle = " → ".join([*way, start])
            entry.add(problems, ("parent",), f"goes in a circle: {circle}", "take one parent out")
