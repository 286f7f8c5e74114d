"""Files that the configuration names: secrets, certificates. Under systemd, credentials come first."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from daemon.config.problems import Entry, Problems
from daemon.signing import KeyFileError, PrivateKey


class NamedFiles:
    """Finds the files named in a configuration; relative names are relative to its folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str], problems: Problems) -> None:
        credentials = environment.get("CREDENTIALS_DIRECTORY")
        self._credentials = Path(credentials) if credentials else None
        self._folder = folder
        self._problems = problems

    def site_key(self, entry: Entry, key: str) -> Path | None:
        """A private JWK; `None` = a mistake, now noted, or not given."""
        path = self.secret(entry, key)
        if path is None:
            return None
        try:
            PrivateKey.load(path)
        except KeyFileError as error:
            what = str(error).removeprefix(f"{path}: ")
            entry.add(self._problems, (key,), f"{path}: {what}", "make a key with: quotawatt keys new NAME")
            return None
        return path

    def secret(self, entry: Entry, key: str) -> Path | None:
        """A readable file that is nobody else's to read."""
        name = entry.get(key, str)
        if name is None:
            return None
        if self._credentials is not None:
            credential = self._credentials / Path(name).name
            if credential.is_file():
                # systemd guards these; their group bits are the mask of an ACL.
                return credential
        path = self.plain(entry, key)
        if path is None:
            return None
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o027:
            what = f"{path} is open to others (mode {mode:04o})"
            entry.add(self._problems, (key,), what, f"run: chmod 600 {path}")
            return None
        return path

    def plain(self, entry: Entry, key: str) -> Path | None:
        """A readable file."""
        name = entry.get(key, str)
        if name is None:
            return None
        path = self._folder / name
        if not path.is_file():
            entry.add(self._problems, (key,), f"{path} is not a file", "name a file that exists")
            return None
        if not os.access(path, os.R_OK):
            entry.add(self._problems, (key,), f"{path} cannot be read", "let the service's user read it")
            return None
        return path

    def password(self, entry: Entry, key: str) -> str | None:
        """The first line of a secret file."""
        path = self.secret(entry, key)
        if path is None:
            return None
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            entry.add(self._problems, (key,), f"{path} is not UTF-8", "save the password as UTF-8 text")
            return None
        password = text.splitlines()[0] if text else ""
        if not password:
            entry.add(self._problems, (key,), f"{path} is empty", "put the password on its first line")
            return None
        return password
