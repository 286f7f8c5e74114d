"""Names and powers in the texts of alarms."""

from collections.abc import Sequence

_NAMED = 5


def named(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def megawatts(watts: float) -> str:
    """Such as `0.614 MW`."""
    return f"{watts / 1e6:.3f} MW"
