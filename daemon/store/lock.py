"""One daemon per state folder."""

import fcntl
from pathlib import Path
from typing import IO

from daemon.errors import StoreError, StoreTakenError


class FolderLock:
    """An exclusive lock on a folder for as long as the process lives; a crash frees it."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            StoreTakenError: another daemon has it.
            StoreError: the folder cannot be written.
        """
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._file: IO[bytes] = (folder / "lock").open("wb")
        except OSError as error:
            raise StoreError(f"{folder}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise StoreTakenError(f"{folder}: another quotawatt works here; one site, one daemon") from error

    def release(self) -> None:
        """Let the next daemon in."""
        self._file.close()
