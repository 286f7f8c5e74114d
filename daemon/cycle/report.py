"""The site in words for others: `state`, `telemetry`, the list of devices. Integers, W and s."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from daemon import __version__
from daemon.allocation.memory import UNKNOWN
from daemon.commands.orders import Hold
from daemon.cycle.controller import Controller, CycleResult
from daemon.cycle.powers import load_powers_w
from daemon.metering.load_power import PowerOrigin
from daemon.table import Snapshot
from daemon.timestamps import format_utc
from drivers.quantity import QUANTITIES, Quantity


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """Where the ledger stands."""

    epoch: int
    seq: int
    acked_seq: int


def whole(value: float | None) -> int | None:
    """A wire integer; absent stays absent."""
    return None if value is None or not math.isfinite(value) else round(value)


def total(snapshot: Snapshot, quantity: Quantity) -> float | None:
    """Sum of the fresh values, none of which can be negative; `None` if no device has one."""
    fresh = snapshot.fresh(quantity)
    present = fresh[fresh >= 0]
    return float(present.sum()) if len(present) else None


def device_counts(controller: Controller, result: CycleResult) -> dict[str, int]:
    """Devices by status; curtailed = loads ordered below their full power."""
    devices = len(controller.layout.devices)
    ok = int(np.count_nonzero(result.snapshot.ok))
    down = int(np.count_nonzero(result.snapshot.down)) if ok < devices else 0
    off, reduced, _ = result.level
    return {
        "total": devices,
        "ok": ok,
        "suspect": devices - ok - down,
        "down": down,
        "curtailed": off + reduced,
    }


def state_object(
    controller: Controller, result: CycleResult, head: LedgerHead, alarms: list[dict[str, str]], boot: str
) -> dict[str, Any]:
    """The `state` object of the contract."""
    verdict, power_w = result.verdict, whole(result.power.watts)
    authority = verdict.authority
    return {
        "ts": format_utc(result.moment.wall_s),
        "online": True,
        "boot": boot,
        "version": __version__,
        "state": authority.state.value,
        "limit_w": verdict.limit_w,
        "limit_source": verdict.source.value,
        "quota_rev": None if authority.quota is None else authority.quota.rev,
        "power_w": power_w,
        "power_source": result.power.source.value,
        "headroom_w": None if power_w is None else verdict.limit_w - power_w,
        "hold": _hold_object(authority.hold),
        "devices": device_counts(controller, result),
        "ledger": {"epoch": head.epoch, "seq": head.seq, "acked_seq": head.acked_seq},
        "alarms": alarms,
    }


def _hold_object(hold: Hold | None) -> dict[str, Any] | None:
    if hold is None:
        return None
    until = None if hold.until is None else format_utc(hold.until)
    return {"limit_w": hold.limit_w, "reason": hold.reason, "until": until}


def telemetry_object(result: CycleResult) -> dict[str, Any]:
    """The `telemetry` object of the contract."""
    return {
        "ts": format_utc(result.moment.wall_s),
        "power_w": whole(result.power.watts),
        "power_source": result.power.source.value,
        "limit_w": result.verdict.limit_w,
        "state": result.verdict.authority.state.value,
        "uncontrolled_w": whole(result.uncontrolled_w),
        "lowest_w": whole(result.lowest_w),
        "wanted_w": whole(result.wanted_w),
        "hash_ths": whole(total(result.snapshot, Quantity.HASHRATE)),
        "gpu_active": whole(total(result.snapshot, Quantity.GPU_ACTIVE)),
    }


def device_objects(controller: Controller, result: CycleResult) -> list[dict[str, Any]]:
    """Every device with its values, their age and why one is absent, and what it is taken to draw."""
    ordered = {int(row): index for index, row in enumerate(controller.layout.loads.rows)}
    powers, nonsense = _powers(controller, result), controller.metering.nonsense
    return [
        {
            "id": device.id,
            "profile": device.profile.name,
            "role": device.role.value,
            "circuit": device.circuit,
            "status": result.snapshot.status(row).value,
            "age_s": _rounded(float(result.snapshot.age_s[row])),
            "absent": None if (reason := result.snapshot.reason(row)) is None else reason.value,
            "values": {
                quantity.value: value
                for quantity in QUANTITIES
                if (value := result.snapshot.value(row, quantity)) is not None
            },
            "power": powers.get(row),
            "nonsense": int(nonsense.counts[row]),
            "order": _order(controller, ordered.get(row)),
        }
        for row, device in enumerate(controller.layout.devices)
    ]


def _powers(controller: Controller, result: CycleResult) -> dict[int, dict[str, Any]]:
    """By row: what a load counts at or a meter shows, where that is from, what is held against it."""
    loads, memory, metering = controller.layout.loads, controller.memory, controller.metering
    look, watts = load_powers_w(controller, result)
    learned = (memory.level != UNKNOWN) & memory.obeys & ~look.missing
    powers: dict[int, dict[str, Any]] = {
        int(row): {"watts": whole(float(drawn_w)), "source": origin.value, "doubt": None}
        for row, drawn_w, origin in zip(loads.rows, watts, result.loads_power.origins(learned), strict=True)
    }
    for meter, record in zip(metering.instruments.meters, metering.records, strict=True):
        shown_w = None if record.reading is None else whole(record.reading.power_w)
        doubt = None if record.doubt is None else record.doubt.value
        powers[meter.row] = {"watts": shown_w, "source": PowerOrigin.DEVICE.value, "doubt": doubt}
    return powers


def _order(controller: Controller, load: int | None) -> dict[str, Any] | None:
    """What a load was ordered to, and whether its measured power followed."""
    if load is None:
        return None
    level = int(controller.memory.level[load])
    return {
        "watts": None if level < 0 else whole(float(controller.layout.loads.watts[load, level])),
        "obeys": bool(controller.memory.obeys[load]),
        "excluded": bool(controller.excluded[load]),
    }


def _rounded(age_s: float) -> float | None:
    return round(age_s, 1) if math.isfinite(age_s) else None


def plan_object(controller: Controller, result: CycleResult, limit_w: int) -> dict[str, Any]:
    """The result of `plan`.

    Raises:
        LookupError: the site has not been seen whole yet.
    """
    plan = controller.hypothetical(limit_w, result.moment)
    if plan is None:
        raise LookupError("the site has not been seen whole yet")
    loads, before = controller.layout.loads, controller.memory.level
    lowered = plan.level < before
    if plan.at_deadline_w <= plan.target_w:
        lowered &= loads.latency_down_s <= controller.policy.settle_s
    lowest, full = plan.level == 0, plan.level == loads.top
    return {
        "limit_w": limit_w,
        "target_w": round(plan.target_w),
        "uncontrolled_w": round(plan.uncontrolled_w),
        "margin_w": round(plan.margin_w),
        "lowest_w": whole(result.lowest_w),
        "reached": plan.unreachable_w <= 0,
        "loads": {
            "off": int(lowest.sum()),
            "reduced": int((~lowest & ~full).sum()),
            "full": int((full & ~lowest).sum()),
        },
        "seconds": round(float(loads.latency_down_s[lowered].max(initial=0.0))),
    }
