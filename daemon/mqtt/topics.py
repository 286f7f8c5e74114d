"""The topics of contract §4: `quotawatt/v1/{site}/…`."""

from dataclasses import dataclass

from daemon.commands.words import Lane

ROOT = "quotawatt/v1"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of a site."""

    site: str

    def lane(self, lane: Lane) -> str:
        """Where quotas, leases or the commands of a role come in."""
        return f"{ROOT}/{self.site}/{lane.value}"

    def rsp(self, jti: str) -> str:
        """Where a command is answered."""
        return f"{ROOT}/{self.site}/rsp/{jti}"

    @property
    def state(self) -> str:
        """Retained, and the will."""
        return f"{ROOT}/{self.site}/state"

    @property
    def telemetry(self) -> str:
        """Every 2 s."""
        return f"{ROOT}/{self.site}/telemetry"

    @property
    def event(self) -> str:
        """Alarms, changes of state, refusals."""
        return f"{ROOT}/{self.site}/event"


def client_id(site: str) -> str:
    """The site's one client id: a second daemon of the same site takes the session over, and shows."""
    return f"quotawatt-{site}"


def lane_client_id(site: str) -> str:
    """The client id of the devices' connection, which comes beside the site's own."""
    return f"quotawatt-{site}-devices"
