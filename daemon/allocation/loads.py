"""The loads of a site as columns: what each can be told to do and what that is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from daemon.table.table import Floats
from drivers.profile import OperatingPoint, OutputKind, Profile, Setpoint
from drivers.quantity import Quantity

_BLIP_S = 12.0
_BLIP_POLLS = 3
_SOON_S = 120.0
"""A load that takes longer to come back costs more than it bridges."""

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def of_each(column: Floats, level: Ints) -> Floats:
    """(loads,): what (loads, levels) has for each load at its level.

    A walk over all entries in their order: several times quicker than by two indices.
    """
    found: Floats = column.ravel().take(_starts(*column.shape) + level)
    return found


@lru_cache(maxsize=4)
def _starts(loads: int, levels: int) -> Ints:
    """(loads,): where the row of each begins among all entries. Asked for some ten times a cycle."""
    starts = np.arange(loads) * levels
    starts.setflags(write=False)
    return starts


@lru_cache(maxsize=4)
def counted_up(count: int) -> Ints:
    """0, 1, 2, …; not to be written to."""
    numbers = np.arange(count)
    numbers.setflags(write=False)
    return numbers


class Tier(IntEnum):
    """Who gives way first."""

    FIRST_TO_GO = 0
    NORMAL = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Economics:
    """What output is worth, per hour of full output. Only the ratio matters to the allocation."""

    per_ths: float = 0.0021
    """USD/h for 1 TH/s, at about 0.05 USD per TH/s and day."""
    per_gpu: float = 2.0
    """USD/h for a rented GPU of the H100 class."""

    def full_value(self, profile: Profile) -> float:
        """What the device earns in an hour at full output."""
        match profile.output:
            case OutputKind.HASH:
                return self.per_ths * profile.output_full
            case OutputKind.GPU:
                return self.per_gpu * profile.output_full
            case None:
                return 0.0


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """One controllable load."""

    row: int
    """In the site table."""
    profile: Profile
    tier: Tier = Tier.NORMAL
    circuit: int = -1
    """Index into the circuits; −1 = only the site limit."""
    period_s: float = 1.0
    """How often it is measured."""


@dataclass(frozen=True, slots=True)
class Loads:
    """All controllable loads. A load's levels are its efficient operating points, 0 = lowest draw."""

    rows: Ints
    watts: Floats
    """(loads, levels) by the profile, ascending; the last level is repeated to fill the row."""
    value: Floats
    """(loads, levels), per hour."""
    top: Ints
    """Index of the highest level."""
    tier: Ints
    circuit: Ints
    nameplate_w: Floats
    latency_down_s: Floats
    latency_up_s: Floats
    settle_s: Floats
    min_off_s: Floats
    period_s: Floats
    """How often each is measured."""
    reversible: Bools
    """Whether a load that was ordered down is soon back once it is let: it may bridge others."""
    shows_limit: Bools
    """Whether a load's answers name the set-point that it holds; then none in them means no limit."""

    index: Ints
    """0, 1, 2, …"""
    blip_s: Floats
    """A load that was not measured for longer is missing."""
    output: Floats
    """(loads, levels): TH/s or GPUs at work by the profile; 0 = not known."""
    hashes: Ints
    """Indices of the loads whose output is a hashrate."""
    gpus: Ints
    """Indices of the loads whose output is GPUs at work."""

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def build(cls, specs: Sequence[LoadSpec], economics: Economics) -> "Loads":
        """Columns from the profiles.

        Raises:
            ValueError: a load's profile has no set-point or no operating points.
        """
        hulls = []
        for spec in specs:
            if spec.profile.setpoint is None or not spec.profile.operating_points:
                raise ValueError(f"profile {spec.profile.name} cannot be controlled")
            hulls.append(efficient(spec.profile.operating_points))
        levels = max((len(hull) for hull in hulls), default=1)
        watts = _columns([[point.watts for point in hull] for hull in hulls], levels)
        value = _columns(
            [
                [point.value * economics.full_value(spec.profile) for point in hull]
                for spec, hull in zip(specs, hulls, strict=True)
            ],
            levels,
        )
        kinds = np.array([spec.profile.output for spec in specs], dtype=object)
        periods_s = np.array([spec.period_s for spec in specs], dtype=np.float64)
        setpoints = [spec.profile.setpoint for spec in specs if spec.profile.setpoint is not None]
        return cls(
            rows=np.array([spec.row for spec in specs], dtype=np.int64),
            watts=watts,
            value=value,
            top=np.array([len(hull) - 1 for hull in hulls], dtype=np.int64),
            tier=np.array([spec.tier for spec in specs], dtype=np.int64),
            circuit=np.array([spec.circuit for spec in specs], dtype=np.int64),
            nameplate_w=np.array([spec.profile.nameplate_w for spec in specs], dtype=np.float64),
            latency_down_s=np.array([setpoint.latency_down_s for setpoint in setpoints], dtype=np.float64),
            latency_up_s=np.array([setpoint.latency_up_s for setpoint in setpoints], dtype=np.float64),
            settle_s=np.array([setpoint.settle_s for setpoint in setpoints], dtype=np.float64),
            min_off_s=np.array([setpoint.min_off_s for setpoint in setpoints], dtype=np.float64),
            period_s=periods_s,
            reversible=np.array([_reversible(setpoint) for setpoint in setpoints], dtype=np.bool_),
            shows_limit=np.array([_shows_limit(spec.profile) for spec in specs], dtype=np.bool_),
            index=np.arange(len(specs)),
            blip_s=np.maximum(_BLIP_S, _BLIP_POLLS * periods_s),
            output=_columns(
                [
                    [point.value * spec.profile.output_full for point in hull]
                    for spec, hull in zip(specs, hulls, strict=True)
                ],
                levels,
            ),
            hashes=np.flatnonzero(kinds == OutputKind.HASH),
            gpus=np.flatnonzero(kinds == OutputKind.GPU),
        )


def _reversible(setpoint: Setpoint) -> bool:
    return setpoint.latency_up_s <= _SOON_S and not (setpoint.restarts_on_write or setpoint.persistent)


def _shows_limit(profile: Profile) -> bool:
    return any(point.quantity is Quantity.SETPOINT for point in profile.map.points)


def efficient(points: Sequence[OperatingPoint]) -> list[OperatingPoint]:
    """The upper concave hull: operating points worth running at, ascending watts.

    Between two neighbours of the hull every further watt earns less than the one before, so walking all
    loads' steps in order of value per watt is optimal up to one load.
    """
    hull: list[OperatingPoint] = []
    for point in sorted(points, key=lambda point: (point.watts, -point.value)):
        if hull and point.value <= hull[-1].value:
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-2], point):
            hull.pop()
        hull.append(point)
    return hull


def _slope(low: OperatingPoint, high: OperatingPoint) -> float:
    return (high.value - low.value) / (high.watts - low.watts)


def _columns(rows: list[list[float]], levels: int) -> Floats:
    padded = [row + [row[-1]] * (levels - len(row)) for row in rows]
    return np.array(padded, dtype=np.float64).reshape(len(rows), levels)
