"""What the loads draw, summed up for whoever watches. Pure."""

from collections.abc import Sequence

import numpy as np

from daemon.allocation.counting import Look
from daemon.config import Circuit
from daemon.cycle.controller import Controller, CycleResult
from daemon.http.powers import Powers
from daemon.table.table import Floats

_OTHER = "other"


def load_powers_w(controller: Controller, result: CycleResult) -> tuple[Look, Floats]:
    """The loads as the cycle left them, and (loads,) as measured, as it counts where that is not known."""
    loads, memory = controller.layout.loads, controller.memory
    look = Look(memory, loads, result.loads_power.measured_w, result.moment.monotonic_s)
    watts: Floats = np.where(np.isfinite(look.measured_w), look.measured_w, look.counted_w)
    return look, watts


def powers(controller: Controller, circuits: Sequence[Circuit]) -> Powers:
    """By circuit, class and device; `circuits` as the running configuration lists them."""
    result, layout = controller.last, controller.layout
    if result is None:
        return Powers()
    _, watts = load_powers_w(controller, result)
    # Who hangs on none has index −1.
    own_w = np.bincount(layout.loads.circuit + 1, watts, minlength=len(circuits) + 1)[1:]
    sums_w = dict.fromkeys((circuit.id for circuit in circuits), 0.0)
    parents = {circuit.id: circuit.parent for circuit in circuits}
    for circuit, drawn_w in zip(circuits, own_w.tolist(), strict=True):
        above: str | None = circuit.id
        while above is not None:
            sums_w[above] += drawn_w
            above = parents[above]
    classes: dict[str, float] = {}
    devices: dict[str, float] = {}
    for row, drawn_w in zip(layout.loads.rows.tolist(), watts.tolist(), strict=True):
        device = layout.devices[row]
        kind = _OTHER if device.profile.output is None else device.profile.output.value
        classes[kind] = classes.get(kind, 0.0) + drawn_w
        devices[device.id] = drawn_w
    limits = {circuit.id: (sums_w[circuit.id], float(circuit.max_w)) for circuit in circuits}
    return Powers(limits, classes, devices)
