"""What the site is known to do right now."""

from daemon.table.table import SiteTable, Snapshot, WriteOutcome

__all__ = ["SiteTable", "Snapshot", "WriteOutcome"]
