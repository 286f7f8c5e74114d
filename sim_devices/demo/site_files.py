"""The folder that the demo leaves behind: keys and a configuration that a newcomer can read."""

import fcntl
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from daemon.signing import PrivateKey
from sim_devices.demo.errors import DemoError
from sim_devices.demo.terms import Terms

SITE_ID = "demo-01"
DISPATCHER_KID = "dispatch-1"

_MARK = ".quotawatt-demo"
_OURS = ("site.toml", "site.jwk", "site.pub.jwk", "daemon.log", "state")

_CONFIG = """\
# The site of `quotawatt demo`, as its daemon was started with it. Only the numbers of [site] and
# [control] are quick, so that everything shows within two minutes; the comments say what is usual.

[site]
id = "{site}"
contract_max_mw = {contract_mw}
failsafe_mw = {failsafe_mw}
interval_s = {interval_s}                # usual: 300
state_dir = "state"

[control]
lease_timeout_s = {lease_timeout_s}            # usual: 120
failsafe_ramp_s = {failsafe_ramp_s}           # usual: 300
ramp_up_pct_per_min = {ramp_up_pct_per_min}      # usual: 10
settle_s = {settle_s}                  # usual: 30

[keys]
site = "site.jwk"

[mqtt]
url = "{mqtt_url}"

[settlement]
url = "{exchange_url}"
keys = [{{ kid = "{exchange_kid}", jwk = {exchange_jwk} }}]

[http]
listen = "{http_listen}"

[[trust.keys]]
kid = "{dispatcher_kid}"
role = "dispatcher"
jwk = {dispatcher_jwk}

"""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Whom the site talks to."""

    mqtt_url: str
    exchange_url: str
    exchange_kid: str
    exchange_jwk: Mapping[str, str]
    http_listen: str
    dispatcher_jwk: Mapping[str, str]


class SiteFiles:
    """The folder of one demo; locked while it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.config = self.folder / "site.toml"
        self.log = self.folder / "daemon.log"
        self._lock: IO[str] | None = None

    def open(self) -> None:
        """Make the folder ready; what an earlier demo left there is removed.

        Raises:
            DemoError: it holds other people's files, or another demo.
        """
        mark = self.folder / _MARK
        try:
            if self.folder.exists() and not mark.exists() and any(self.folder.iterdir()):
                raise DemoError(f"{self.folder} holds other files; give an empty folder with --dir")
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = mark.open("a", encoding="ascii")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in _OURS:
                path = self.folder / name
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        except BlockingIOError:
            self.close()
            raise DemoError(f"another demo runs in {self.folder}; give another folder with --dir") from None
        except OSError as error:
            self.close()
            raise DemoError(f"{self.folder}: {error.strerror}; give another folder with --dir") from error

    def close(self) -> None:
        """Let go of the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def write_key(self) -> PrivateKey:
        """A new key of the site, in `site.jwk`, and its public half."""
        key = PrivateKey.generate()
        secret = self.folder / "site.jwk"
        secret.touch(mode=0o600)
        secret.write_text(json.dumps(key.private_jwk()) + "\n", encoding="ascii")
        public = {**key.public_jwk(), "kid": key.kid}
        (self.folder / "site.pub.jwk").write_text(json.dumps(public) + "\n", encoding="ascii")
        return key

    def write_config(self, terms: Terms, neighbours: Neighbours, plant_toml: str) -> None:
        """The daemon's configuration file."""
        head = _CONFIG.format(
            site=SITE_ID,
            contract_mw=terms.contract_max_w / 1e6,
            failsafe_mw=terms.failsafe_w / 1e6,
            interval_s=terms.interval_s,
            lease_timeout_s=terms.lease_timeout_s,
            failsafe_ramp_s=terms.failsafe_ramp_s,
            ramp_up_pct_per_min=terms.ramp_up_pct_per_min,
            settle_s=terms.settle_s,
            mqtt_url=neighbours.mqtt_url,
            exchange_url=neighbours.exchange_url,
            exchange_kid=neighbours.exchange_kid,
            exchange_jwk=_inline(neighbours.exchange_jwk),
            http_listen=neighbours.http_listen,
            dispatcher_kid=DISPATCHER_KID,
            dispatcher_jwk=_inline(neighbours.dispatcher_jwk),
        )
        self.config.write_text(head + plant_toml, encoding="utf-8")


def _inline(jwk: Mapping[str, str]) -> str:
    """A JWK as an inline table of TOML."""
    return "{ " + ", ".join(f'{name} = "{value}"' for name, value in jwk.items()) + " }"
