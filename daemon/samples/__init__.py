"""Roll-ups for charts in a database of their own, which nobody needs to keep: the ledger goes before it."""

from daemon.samples.recorder import SampleRecorder

__all__ = ["SampleRecorder"]
