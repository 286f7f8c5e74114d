"""The site's book on disk: one SQLite file, one writer."""

from daemon.store.database import Store, Transaction

__all__ = ["Store", "Transaction"]
