"""The interval ledger: what the site drew, interval by interval, hash-chained and signed.

`IntervalBuilder` (pure) turns cycles into record bodies, `Ledger` seals and stores them, `Recorder` joins
both without making the cycle wait for the disk.
"""

from daemon.ledger.beginning import Beginning
from daemon.ledger.chain import Head, StoredRecord
from daemon.ledger.intervals import Finished, IntervalBuilder
from daemon.ledger.ledger import Ledger, Position
from daemon.ledger.observation import CycleObservation, MeterReading
from daemon.ledger.recorder import Recorder
from daemon.ledger.records import (
    EpochReason,
    GapReason,
    RecordError,
    TimeStatus,
    correction,
    event,
    storage_loss,
)
from daemon.ledger.register import Baseline
from daemon.ledger.tables import EpochState

__all__ = [
    "Baseline",
    "Beginning",
    "CycleObservation",
    "EpochReason",
    "EpochState",
    "Finished",
    "GapReason",
    "Head",
    "IntervalBuilder",
    "Ledger",
    "MeterReading",
    "Position",
    "RecordError",
    "Recorder",
    "StoredRecord",
    "TimeStatus",
    "correction",
    "event",
    "storage_loss",
]
