"""Reading a quota at a moment."""

from daemon.authority.documents import Quota, QuotaEntry


def entry_at(quota: Quota | None, wall_s: float) -> QuotaEntry | None:
    """The entry that covers the moment; `None` where none does."""
    if quota is not None:
        for entry in quota.entries:
            if entry.start_s <= wall_s < entry.end_s:
                return entry
    return None


def next_change_s(quota: Quota | None, wall_s: float) -> float | None:
    """The next moment at which the schedule may say something else."""
    if quota is None:
        return None
    edges = (edge for entry in quota.entries for edge in (entry.start_s, entry.end_s))
    return min((float(edge) for edge in edges if edge > wall_s), default=None)
