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
        if self._is_open_to_others(entry, key, self._folder / name):
            return None
        # systemd guards credentials; their group bits are the mask of an ACL.
        return self._credential(name) or self.plain(entry, key)

    def _credential(self, name: str) -> Path | None:
        """What systemd passed on: "keys/site.jwk" of a folder that was loaded as `keys`, or "site.jwk"."""
        if self._credentials is None:
            return None
        named = (self._credentials / name.strip("/").replace("/", "_"), self._credentials / Path(name).name)
        return next((path for path in named if path.is_file()), None)

    def _is_open_to_others(self, entry: Entry, key: str, path: Path) -> bool:
        """Whether a file that is there is anybody's to read; one that cannot be looked at is not."""
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            return False
        if not mode & 0o027:
            return False
        what = f"{path} is open to others (mode {mode:04o})"
        entry.add(self._problems, (key,), what, f"run: chmod 600 {path}")
        return True

    def plain(self, entry: Entry, key: str) -> Path | None:
        """A readable file."""
        name = entry.get(key, str)
        if name is None:
            return None
        path = self._folder / name
        try:
            there = path.is_file()
        except PermissionError:
            what = f"{path} cannot be looked at by this user"
            right = f"put it into {self._folder / 'keys'}, whose files the unit passes on, and restart"
            entry.add(self._problems, (key,), what, right)
            return None
        if not there:
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
