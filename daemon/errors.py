"""Errors of the daemon, named by what the caller should do."""


class QuotawattError(Exception):
    """Base of everything the daemon raises on purpose."""


class ConfigurationError(QuotawattError):
    """The configuration must be mended first. `problems` has one line for each mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreError(QuotawattError):
    """Records cannot be read or written now; curtailment goes on."""


class StoreTakenError(StoreError):
    """Another daemon works with it: this one is one too many."""


class NewerStoreError(ConfigurationError, StoreError):
    """The file was written by a newer version: the one that is installed must be changed first."""


class LedgerDamagedError(StoreError):
    """The ledger on disk does not verify; it must not be extended."""
