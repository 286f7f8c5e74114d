"""What is wrong right now, told once when it begins and once when it ends."""

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


class AlarmBoard:
    """The alarms that stand, each under an id that names its place."""

    def __init__(self) -> None:
        self._standing: dict[str, tuple[Alarm, float]] = {}

    def update(self, alarms: Mapping[str, Alarm], wall_s: float) -> list[dict[str, Any]]:
        """Take what is wrong now; returns the `alarm` and `clear` events that follow from it."""
        ts = format_utc(wall_s)
        events: list[dict[str, Any]] = []
        for alarm_id, (alarm, _) in list(self._standing.items()):
            if alarm_id not in alarms:
                del self._standing[alarm_id]
                events.append(
                    {"ts": ts, "type": "clear", "id": alarm_id, "alarm": alarm.type, "text": alarm.text}
                )
        for alarm_id, alarm in alarms.items():
            since_s = wall_s
            if alarm_id in self._standing:
                since_s = self._standing[alarm_id][1]
            else:
                events.append(
                    {"ts": ts, "type": "alarm", "id": alarm_id, "alarm": alarm.type, "text": alarm.text}
                )
            self._standing[alarm_id] = (alarm, since_s)
        return events

    def standing(self) -> list[dict[str, str]]:
        """As the `state` object lists them."""
        return [
            {"id": alarm_id, "type": alarm.type, "since": format_utc(since_s)}
            for alarm_id, (alarm, since_s) in self._standing.items()
        ]
