"""The interval in progress: what is counted since its start, and its form on disk."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.ledger.minutes import MinuteJudge
from daemon.ledger.records import TimeStatus
from daemon.ledger.tally import PointTally, SiteTally


@dataclass(slots=True)
class Progress:
    """The interval in progress."""

    site: SiteTally = field(default_factory=SiteTally)
    points: dict[str, PointTally] = field(default_factory=dict)
    stepped: bool = False
    """The wall clock was stepped within it by more than is bearable."""
    nudged: bool = False
    """It was stepped by less."""

    def point(self, name: str) -> PointTally:
        """The tally of a point."""
        return self.points.setdefault(name, PointTally())


def dump_progress(start: int, progress: Progress, minutes: MinuteJudge) -> str:
    """As text, for a restart within the interval that began at `start`, Unix seconds."""
    site = progress.site
    return json.dumps(
        {
            "start": start,
            "site": {name: getattr(site, name) for name in (*_SITE_SUMS, "state_s", "hashes_th", "gpu_s")},
            "time_status": None if site.time_status is None else site.time_status.value,
            "points": {
                name: [tally.samples, tally.covered_s, tally.drawn_ws, tally.max_w]
                for name, tally in progress.points.items()
            },
            "stepped": progress.stepped,
            "nudged": progress.nudged,
            "minute": minutes.dump(),
        }
    )


def load_progress(text: str | None, start: int | None, minutes: MinuteJudge) -> Progress:
    """What was counted of the interval that began at `start`; nothing if the text is of another one."""
    value: Mapping[str, Any] | None = None if text is None else json.loads(text)
    if value is None or value["start"] != start:
        return Progress()
    minutes.load(value["minute"])
    status = value["time_status"]
    return Progress(
        SiteTally(**value["site"], time_status=None if status is None else TimeStatus(status)),
        {name: PointTally(*sums) for name, sums in value["points"].items()},
        stepped=value["stepped"],
        nudged=value["nudged"],
    )


_SITE_SUMS = ("seen_s", "limit_ws", "floor_ws", "floor_s", "settle_s", "over_s", "over_wh")
