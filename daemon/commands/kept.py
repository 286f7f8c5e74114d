"""What has been ordered and must survive a restart, in the table `kept`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from daemon.commands.claims import quota_of
from daemon.commands.orders import Exclusion, Hold, Lease, OperatorLimit, Quota
from daemon.signing import parse
from daemon.store import Store, Transaction

_NAMES = ("quota", "lease", "hold", "set_limit", "exclusions")


@dataclass(frozen=True, slots=True)
class Kept:
    """All orders that stand. Those with an `until` may be over: whoever reads them looks at the clock."""

    quota: Quota | None = None
    lease: Lease | None = None
    hold: Hold | None = None
    set_limit: OperatorLimit | None = None
    exclusions: Mapping[str, Exclusion] = field(default_factory=dict)

    @classmethod
    async def load(cls, store: Store) -> Self:
        """As stored last."""
        marks = ",".join("?" * len(_NAMES))
        rows = await store.fetch_all(f"SELECT name, value FROM kept WHERE name IN ({marks})", _NAMES)  # noqa: S608  only marks
        stored = {str(name): json.loads(value) for name, value in rows}
        quota, lease = stored.get("quota"), stored.get("lease")
        hold, limit = stored.get("hold"), stored.get("set_limit")
        return cls(
            quota=None if quota is None else quota_of(parse(quota["jws"].encode("ascii"))),
            lease=None if lease is None else Lease(**lease),
            hold=None if hold is None else Hold(**hold),
            set_limit=None if limit is None else OperatorLimit(**limit),
            exclusions={device: Exclusion(**entry) for device, entry in stored.get("exclusions", {}).items()},
        )

    async def save(self, before: "Kept", tx: Transaction) -> None:
        """Store what differs from `before`."""
        old, new = before.as_json(), self.as_json()
        for name in _NAMES:
            if new[name] != old[name]:
                await tx.execute(
                    "INSERT INTO kept (name, value) VALUES (?, ?) "
                    "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    (name, json.dumps(new[name])),
                )

    def as_json(self) -> dict[str, Any]:
        """What is stored, by name; `None` where nothing stands."""
        return {
            "quota": None if self.quota is None else {"jws": self.quota.jws},
            "lease": None if self.lease is None else asdict(self.lease),
            "hold": None if self.hold is None else asdict(self.hold),
            "set_limit": None if self.set_limit is None else asdict(self.set_limit),
            "exclusions": {device: asdict(entry) for device, entry in self.exclusions.items()},
        }

    def excluding(self, device: str, exclusion: Exclusion | None) -> "Kept":
        """With this device excluded, or with `None` included again."""
        others = {name: entry for name, entry in self.exclusions.items() if name != device}
        return replace(self, exclusions=others if exclusion is None else {**others, device: exclusion})
