"""The interval ledger."""
