"""A ledger as a book that anybody may check: reading, verifying and exporting it, offline.

The format, and what a verified book proves, is in docs/ledger.md.
"""

from daemon.book.findings import Finding, Flaw
from daemon.book.receipts import ReceiptBook, read_receipts
from daemon.book.trust import load_trust
from daemon.book.verify import Report, verify_file

__all__ = [
    "Finding",
    "Flaw",
    "ReceiptBook",
    "Report",
    "load_trust",
    "read_receipts",
    "verify_file",
]
