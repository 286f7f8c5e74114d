"""A cycle as the interval builder sees it."""

import math

from daemon.authority.machine import Authority
from daemon.cycle.controller import Controller, CycleResult
from daemon.cycle.report import total, whole
from daemon.ledger.observation import CycleObservation, MeterReading
from daemon.ledger.records import TimeStatus
from daemon.table import Snapshot
from drivers.quantity import Quantity


def observation(controller: Controller, result: CycleResult) -> CycleObservation:
    """What the builder needs of a cycle."""
    authority, snapshot = result.verdict.authority, result.snapshot
    layout = controller.layout
    return CycleObservation(
        wall_s=result.moment.wall_s,
        monotonic_s=result.moment.monotonic_s,
        time_status=_time_status(authority),
        points={layout.devices[row].id: _reading(snapshot, row) for row in layout.points},
        limit_w=result.verdict.limit_w,
        quota_hash=None if authority.quota is None else authority.quota.hash,
        floor_w=whole(result.lowest_w),
        settling=result.settling,
        state=authority.state.value,
        hash_ths=total(snapshot, Quantity.HASHRATE),
        gpu_active=total(snapshot, Quantity.GPU_ACTIVE),
    )


def _reading(snapshot: Snapshot, row: int) -> MeterReading:
    age_s = float(snapshot.age_s[row])
    if not math.isfinite(age_s):
        return MeterReading(None, None, age_s, None)
    serial = whole(snapshot.value(row, Quantity.SERIAL))
    return MeterReading(
        register_wh=whole(snapshot.value(row, Quantity.ENERGY_IMPORT)),
        power_w=snapshot.value(row, Quantity.POWER),
        age_s=age_s,
        meter_sn=None if serial is None else str(serial),
    )


def _time_status(authority: Authority) -> TimeStatus:
    """Trusted, held over since the last lease that showed it, or never known."""
    if authority.clock.trusted:
        return TimeStatus.TRUSTED
    return TimeStatus.HELD_OVER if authority.clock.was_trusted else TimeStatus.UNKNOWN
