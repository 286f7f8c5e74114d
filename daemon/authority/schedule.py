"""Reading a quota at a moment."""

from daemon.commands.orders import Quota, ScheduleEntry


def entry_at(quota: Quota | None, wall_s: float) -> ScheduleEntry | None:
    """The entry that covers the moment; `None` where none does."""
    if quota is not None:
        for entry in quota.entries:
            if entry.start <= wall_s < entry.end:
                return entry
    return None


def next_change_s(quota: Quota | None, wall_s: float) -> float | None:
    """The next moment at which the schedule may say something else."""
    if quota is None:
        return None
    edges = (edge for entry in quota.entries for edge in (entry.start, entry.end))
    return min((float(edge) for edge in edges if edge > wall_s), default=None)
