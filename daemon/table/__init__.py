"""What the site is known to do right now."""

from daemon.table.snapshot import Snapshot, WriteOutcome
from daemon.table.table import SiteTable

__all__ = ["SiteTable", "Snapshot", "WriteOutcome"]
