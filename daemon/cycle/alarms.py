"""What is wrong right now: told when it begins, when others are concerned, and when it ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daemon.timestamps import format_utc


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is wrong."""

    type: str
    text: str
    """What it is, what it costs, what to do."""
    concerns: tuple[str, ...] = ()
    """Whom; that these are others is told again, that the rest of the text has changed is not."""


AGAIN_S = 30.0
"""Alarms that stand are told again no sooner."""


@dataclass(frozen=True, slots=True)
class _Standing:
    alarm: Alarm
    since_s: float
    told: tuple[str, ...]
    told_s: float


class AlarmBoard:
    """The alarms that stand, each under an id that names its place."""

    def __init__(self) -> None:
        self._standing: dict[str, _Standing] = {}

    def update(self, alarms: Mapping[str, Alarm], wall_s: float) -> list[dict[str, Any]]:
        """Take what is wrong now; returns the `alarm` and `clear` events that follow from it."""
        ended = [alarm_id for alarm_id in self._standing if alarm_id not in alarms]
        events = [_event("clear", alarm_id, self._standing.pop(alarm_id).alarm, wall_s) for alarm_id in ended]
        for alarm_id, alarm in alarms.items():
            before = self._standing.get(alarm_id)
            since_s = wall_s if before is None else before.since_s
            told, told_s = alarm.concerns, wall_s
            if before is not None and (
                alarm.concerns == before.told or abs(wall_s - before.told_s) < AGAIN_S
            ):
                told, told_s = before.told, before.told_s
            else:
                events.append(_event("alarm", alarm_id, alarm, wall_s))
            self._standing[alarm_id] = _Standing(alarm, since_s, told, told_s)
        return events

    def standing(self) -> list[dict[str, str]]:
        """As the `state` object lists them."""
        return [
            {"id": alarm_id, "type": standing.alarm.type, "since": format_utc(standing.since_s)}
            for alarm_id, standing in self._standing.items()
        ]


def _event(kind: str, alarm_id: str, alarm: Alarm, wall_s: float) -> dict[str, Any]:
    return {
        "ts": format_utc(wall_s),
        "type": kind,
        "id": alarm_id,
        "alarm": alarm.type,
        "text": alarm.text,
    }
