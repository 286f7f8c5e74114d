"""The configured site as the cycle needs it: rows of the table by what they are to the site."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from daemon.allocation.circuits import Circuits
from daemon.allocation.loads import Bools, Economics, Loads, LoadSpec
from daemon.allocation.loads import Tier as Rank
from daemon.config import Config, ConfiguredDevice, Tier
from daemon.dispatch import Endurance
from daemon.dispatch.outlets import Sockets
from daemon.metering.instruments import Instruments
from daemon.table.carrying import BEGINS, Heirs, among
from drivers.profile import OutputKind, Profile, Role
from drivers.sameness import Sameness

SETTLED = (Role.SITE_METER, Role.CIRCUIT_METER)
"""What is settled by, in the order of its points."""
_HOURS = 24

_RANKS = {Tier.FIRST_TO_GO: Rank.FIRST_TO_GO, Tier.NORMAL: Rank.NORMAL, Tier.CRITICAL: Rank.CRITICAL}


@dataclass(frozen=True, slots=True)
class SiteLayout:
    """Who is who. A row is a device's index in the configuration's list of devices."""

    devices: tuple[ConfiguredDevice, ...]
    points: tuple[int, ...]
    """Rows of the metered points that are settled: the revenue meter first, then circuit meters."""
    loads: Loads
    sleeps: Bools
    """(loads,): whether the lowest level is the device's sleep."""
    circuits: Circuits
    instruments: Instruments
    endurance: Endurance
    """What the loads' set-points bear, and how long they hold."""
    sockets: Sockets
    """Where loads may be switched off at their outlets."""

    def heirs_of(self, before: "SiteLayout") -> Heirs:
        """Who of these devices goes on from whom of another layout."""
        same = Sameness()
        places = {device.id: row for row, device in enumerate(before.devices)}
        settled, were_settled = frozenset(self.points), frozenset(before.points)
        devices = np.full(len(self.devices), BEGINS, dtype=np.int64)
        rows = devices.copy()
        for row, device in enumerate(self.devices):
            old = places.get(device.id, BEGINS)
            if old == BEGINS or device.role is not before.devices[old].role:
                continue
            was = before.devices[old]
            # What is settled is swept in another way.
            if not same.profiles(was.profile, device.profile) or (row in settled) is not (
                old in were_settled
            ):
                continue
            devices[row] = old
            if (was.address, was.period_s) == (device.address, device.period_s):
                rows[row] = old
        loads = among(devices, self.loads.rows, before.loads.rows)
        cooling = among(devices, self.instruments.cooling_rows, before.instruments.cooling_rows)
        stay = all(
            len(mine) == len(theirs) and not (mine == BEGINS).any()
            for mine, theirs in ((loads, before.loads.rows), (cooling, before.instruments.cooling))
        )
        return Heirs(rows, devices, loads, stay)

    def load_of(self, device: str) -> int | None:
        """A load's index by the device's id; `None` = there is no such load."""
        row = self.row_of(device)
        if row is None:
            return None
        return next((int(index) for index in np.flatnonzero(self.loads.rows == row)), None)

    def row_of(self, device: str) -> int | None:
        """A device's row by its id."""
        return next((row for row, own in enumerate(self.devices) if own.id == device), None)

    @classmethod
    def of(cls, config: Config) -> "SiteLayout":
        """The layout of a checked configuration."""
        by_role: dict[Role, list[int]] = {role: [] for role in Role}
        for row, device in enumerate(config.devices):
            by_role[device.role].append(row)
        index = {circuit.id: position for position, circuit in enumerate(config.circuits)}
        controllable = [row for row in by_role[Role.LOAD] if config.devices[row].profile.setpoint is not None]
        specs = [_spec(row, config.devices[row], index) for row in controllable]
        prices = config.economics
        loads = Loads.build(specs, Economics(prices.hash_per_ths_day / _HOURS, prices.gpu_per_hour))
        rows = {device.id: row for row, device in enumerate(config.devices)}
        own = [config.devices[row] for row in controllable]
        return cls(
            devices=config.devices,
            points=tuple(row for role in SETTLED for row in by_role[role]),
            loads=loads,
            sleeps=np.array([_sleeps(config.devices[row]) for row in controllable], dtype=np.bool_),
            circuits=Circuits.build(
                [float(circuit.max_w) for circuit in config.circuits],
                [-1 if circuit.parent is None else index[circuit.parent] for circuit in config.circuits],
                loads.circuit,
            ),
            instruments=Instruments.of(
                config.devices, config.circuits, controllable, float(config.site.contract_max_w)
            ),
            endurance=Endurance(
                np.array([_writes_per_day(device.profile) for device in own], dtype=np.float64),
                np.array([_reverts_after_s(device.profile) for device in own], dtype=np.float64),
            ),
            sockets=Sockets(
                np.array([_pdu_row(device, config, rows) for device in own], dtype=np.int64),
                np.array([(device.fed_by or ("", 0))[1] for device in own], dtype=np.int64),
            ),
        )


def _writes_per_day(profile: Profile) -> float:
    setpoint = profile.setpoint
    if setpoint is None or setpoint.writes_per_day is None:
        return np.inf
    # What feeds its timer goes out in any case, so it is not there to be spent.
    fed = 0.0 if setpoint.reversion is None else setpoint.reversion.feeds_per_day
    return setpoint.writes_per_day - fed


def _reverts_after_s(profile: Profile) -> float:
    setpoint = profile.setpoint
    return np.inf if setpoint is None or setpoint.reversion is None else setpoint.reversion.after_s


def _pdu_row(device: ConfiguredDevice, config: Config, rows: Mapping[str, int]) -> int:
    """Of the PDU at which the device may be switched off as the last resort; −1 = nowhere.

    Never what computes for others, and nothing critical: a hard off may break what they are there for.
    """
    setpoint = device.profile.setpoint
    if device.fed_by is None or setpoint is None or not setpoint.hard_off:
        return -1
    if device.tier is Tier.CRITICAL or device.profile.output is OutputKind.GPU:
        return -1
    pdu, outlet = device.fed_by
    outlets = config.devices[rows[pdu]].profile.outlets
    return rows[pdu] if outlets is not None and outlet <= outlets.count else -1


def _spec(row: int, device: ConfiguredDevice, index: dict[str, int]) -> LoadSpec:
    circuit = -1 if device.circuit is None else index[device.circuit]
    return LoadSpec(row, device.profile, _RANKS[device.tier], circuit, device.period_s)


def _sleeps(device: ConfiguredDevice) -> bool:
    profile = device.profile
    return profile.setpoint is not None and profile.operating_points[0].watts <= profile.setpoint.sleep_w
