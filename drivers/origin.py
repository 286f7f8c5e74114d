"""Where the examples in a device profile come from."""

from enum import StrEnum


class Origin(StrEnum):
    """Where the words of a test vector come from."""

    SOURCE = "source"
    """Copied from the source that is named."""
    DERIVED = "derived"
    """Worked out by hand from the type and the scale that the sources state."""
