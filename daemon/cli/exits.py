"""Exit codes that scripts and systemd rely on (after sysexits.h where it has one)."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    """The check failed."""
    USAGE = 2
    UNREACHABLE = 69
    """A needed service does not answer."""
    NOT_PERMITTED = 77
    CONFIGURATION = 78
