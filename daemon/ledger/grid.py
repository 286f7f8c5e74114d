"""The settlement grid: intervals counted from 00:00Z, in Unix seconds."""

DAY_S = 86_400
MINUTE_S = 60


def interval_start(wall_s: float, interval_s: int) -> int:
    """Start of the interval in which `wall_s` lies. `interval_s` divides a day, so Unix time has the grid."""
    return int(wall_s // interval_s) * interval_s


def minute_end(wall_s: float) -> int:
    """End of the clock minute in which `wall_s` lies; a minute begins with its first instant."""
    return (int(wall_s // MINUTE_S) + 1) * MINUTE_S
