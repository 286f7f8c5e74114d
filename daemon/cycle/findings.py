"""What a cycle finds wrong."""

import numpy as np

from daemon.allocation.loads import Ints
from daemon.allocation.memory import UNKNOWN
from daemon.authority.machine import Cause
from daemon.cycle.alarms import Alarm
from daemon.cycle.controller import Controller, CycleResult
from daemon.cycle.metering_findings import metering_findings
from daemon.cycle.naming import megawatts, named
from daemon.table.snapshot import REASON_CODE, Floats, Snapshot
from drivers.ports import Absence
from drivers.quantity import COLUMN, QUANTITIES

_REACTION_S = 3.0
"""After the first orders nothing can have fallen sooner."""


def findings(controller: Controller, result: CycleResult, *, records_writable: bool) -> dict[str, Alarm]:
    """Every alarm that stands after a cycle, by id."""
    found: dict[str, Alarm] = {}
    _of_limits(found, controller, result)
    found |= metering_findings(controller, result)
    _of_devices(found, controller, result)
    if Cause.LEASE in result.verdict.authority.causes:
        found["lease"] = Alarm("lease", "no lease for the quota held: the site falls to its failsafe limit")
    if Cause.TRUST in result.verdict.authority.causes:
        found["trust"] = Alarm("trust", "the key of the quota held is no longer trusted: send a new quota")
    if not records_writable:
        found["records"] = Alarm(
            "records", "records cannot be written: the limit may not rise; free the disk"
        )
    return found


def _of_limits(found: dict[str, Alarm], controller: Controller, result: CycleResult) -> None:
    limit_w, power_w = result.verdict.limit_w, result.power.watts
    lowest_w = result.lowest_w
    if lowest_w is not None and lowest_w > limit_w:
        found["unreachable"] = Alarm(
            "unreachable",
            f"the limit {megawatts(limit_w)} lies {megawatts(lowest_w - limit_w)} below "
            f"what the site can go down to: {_lowest(controller, result)}",
        )
    floor_w = max(limit_w, lowest_w or 0.0)
    # A reading from before the limit says nothing about how it is kept.
    judged = not result.settling and result.power.age_s < min(
        result.limit_age_s, result.planned_s - _REACTION_S
    )
    if power_w is not None and power_w > floor_w and judged:
        found["over-limit"] = Alarm(
            "over-limit", f"the site draws {megawatts(power_w)}, allowed are {megawatts(floor_w)}"
        )


def _lowest(controller: Controller, result: CycleResult) -> str:
    """What nothing can shed, part by part, the largest of each first."""
    memory, loads, devices = controller.memory, controller.layout.loads, controller.layout.devices
    measured_w = result.loads_power.measured_w
    drawn_w = np.where(np.isfinite(measured_w), measured_w, loads.nameplate_w)
    known = memory.level != UNKNOWN
    kept = controller.excluded | ~known
    deaf = ~kept & ~memory.obeys & ~controller.outlets.dead
    asleep_w = float(memory.learned_w[:, 0][~kept & ~deaf].sum())
    parts = [
        (result.uncontrolled_w or 0.0, "uncontrolled"),
        (controller.metering.cooling_w, "cooling"),
        (asleep_w, f"{int((~kept & ~deaf).sum())} loads asleep"),
    ]
    for those, what in ((deaf, "that do not follow"), (kept, "excluded or never seen")):
        index = np.flatnonzero(those)
        if len(index):
            order = index[np.argsort(-drawn_w[index], kind="stable")]
            names = named([devices[int(loads.rows[one])].id for one in order])
            parts.append((float(drawn_w[index].sum()), f"{len(index)} {what} ({names})"))
    return ", ".join(f"{megawatts(watts)} {what}" for watts, what in parts if watts >= 1)


def _of_devices(found: dict[str, Alarm], controller: Controller, result: CycleResult) -> None:
    devices, snapshot = controller.layout.devices, result.snapshot
    # Who answers is not down: usually all do.
    if np.count_nonzero(snapshot.ok) < len(devices) and np.count_nonzero(snapshot.down):
        down = [devices[row].id for row in snapshot.down.nonzero()[0].tolist()]
        found["devices-down"] = Alarm("devices-down", f"no answer for a minute: {named(down)}")
    _of_profiles(found, controller, snapshot)
    _of_outlets(found, controller)
    loads = controller.layout.loads
    disobeying = controller.dispatcher.disobeying(controller.memory)
    disobeying = disobeying[~controller.outlets.dead[disobeying]]
    if len(disobeying):
        excess_w = _excess_w(controller, result, disobeying)
        names = [
            f"{devices[int(loads.rows[disobeying[index]])].id} ({excess_w[index] / 1e3:.1f} kW)"
            for index in np.argsort(-excess_w, kind="stable")
        ]
        found["disobeying"] = Alarm(
            "disobeying",
            f"do not follow their set-points, which costs {megawatts(float(excess_w.sum()))}: {named(names)}",
            concerns=tuple(devices[int(loads.rows[index])].id for index in disobeying),
        )


def _of_outlets(found: dict[str, Alarm], controller: Controller) -> None:
    """What had to be switched off, and where that did not help."""
    outlets, rows, devices = controller.outlets, controller.layout.loads.rows, controller.layout.devices
    if not np.count_nonzero(outlets.off):
        return
    names = [
        devices[int(rows[index])].id + ("" if outlets.dead[index] else " (not seen yet)")
        for index in np.flatnonzero(outlets.off).tolist()
    ]
    found["outlets-off"] = Alarm(
        "outlets-off",
        f"switched off at their outlets, for they did not follow and nothing else was left: {named(names)}; "
        "they come back once the limit has room for all",
    )


def _excess_w(controller: Controller, result: CycleResult, those: Ints) -> Floats:
    """What each of those loads draws above its order; one that is not measured, what it may."""
    loads, memory = controller.layout.loads, controller.memory
    measured_w = result.loads_power.measured_w[those]
    drawn_w = np.where(np.isfinite(measured_w), measured_w, loads.nameplate_w[those])
    excess_w: Floats = np.maximum(drawn_w - memory.at_level_w()[those], 0.0)
    return excess_w


def _of_profiles(found: dict[str, Alarm], controller: Controller, snapshot: Snapshot) -> None:
    """Devices that are not, or not wholly, what their profiles say: a mistake that only people can mend."""
    devices = controller.layout.devices
    wrong = (snapshot.reasons == REASON_CODE[Absence.WRONG_DEVICE]).nonzero()[0]
    if len(wrong):
        names = named([devices[int(row)].id for row in wrong])
        found["wrong-device"] = Alarm(
            "wrong-device",
            f"something else than their profiles say answers, and is neither used nor ordered: {names}; "
            "mend the address or the profile",
        )
    refusing = snapshot.refused.nonzero()[0]
    if len(refusing):
        names = named([f"{devices[int(row)].id} ({_lost(snapshot, int(row))})" for row in refusing])
        found["refused-points"] = Alarm(
            "refused-points",
            f"do not let themselves be asked for what their profiles say: {names}; mend the profiles",
        )


def _lost(snapshot: Snapshot, row: int) -> str:
    refused = int(snapshot.refused[row])
    return ", ".join(quantity.value for quantity in QUANTITIES if refused >> COLUMN[quantity] & 1)
