"""What a client is to do, and what it says of it. Both travel as JSON."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from ipaddress import IPv4Address

FIRST_ADDRESS = IPv4Address("127.1.0.0")
UNITS_BEHIND_GATEWAY = 20
REGISTERS = 20


class Client(StrEnum):
    """Who polls."""

    C = "C epoll"
    OURS = "ours, uvloop"
    OURS_ASYNCIO = "ours, asyncio"
    PYMODBUS = "pymodbus, uvloop"
    PYMODBUS_ASYNCIO = "pymodbus, asyncio"

    @property
    def on_uvloop(self) -> bool:
        """Whether its event loop is uvloop's."""
        return self in {Client.OURS, Client.PYMODBUS}


class Task(StrEnum):
    """What it does beside polling."""

    POLL = "poll"
    ORDER = "order"
    """Write a set-point to every device, as fast as it goes."""
    PERIODS = "periods"
    """Watch when each device was swept."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a client is to do."""

    client: Client
    connections: int
    """Devices with a connection of their own."""
    period_s: float | None
    """Each device is polled once in this time; `None` = as fast as it goes."""
    seconds: float
    """Length of the measured window."""
    gateways: int = 0
    """Connections with 20 units behind each."""
    warmup_s: float = 1.0
    """From the first full picture to the window."""
    task: Task = Task.POLL
    repeat: int = 1
    """Of the orders."""
    silent_every: int = 0
    """Every so many-th connection never answers; 0 = all do."""
    silent_unit: int = 0
    """Unit behind every gateway that never answers; 0 = all do."""
    lateness: bool = False
    """Watch how late the event loop is."""
    samples: bool = False
    """Keep roll-ups in SQLite, as the daemon does."""
    simulated: str = ""
    """File that lists the devices of a simulated site, which are polled instead."""

    @property
    def devices(self) -> int:
        """All that are polled."""
        return self.connections + self.gateways * UNITS_BEHIND_GATEWAY

    def host(self, index: int) -> str:
        """Address of a connection; those of the gateways come after the others'."""
        return str(FIRST_ADDRESS + index)

    def is_silent(self, index: int) -> bool:
        """Whether a connection never answers; the server counts alike."""
        return self.silent_every > 0 and index % self.silent_every == self.silent_every - 1

    def to_json(self) -> str:
        """As an argument for a client."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Load":
        """What `to_json` gave."""
        held = json.loads(text)
        return cls(**{**held, "client": Client(held["client"]), "task": Task(held["task"])})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client did in its window."""

    polls: int
    """Answered, and taken as good."""
    cpu_s: float
    """User and system time of the client's process."""
    wall_s: float
    missed: int
    rss_mb: float
    """The most that the process had in memory."""
    lateness_p99_s: float = 0.0
    first_full_s: float = 0.0
    """From the start of the process until every device has answered."""
    stolen_s: float = 0.0
    """Taken by the hypervisor from the client's core while its process ran."""
    waited_s: float = 0.0
    """Of the window, ready to run while another process had the core."""
    freeze_p99_s: float = 0.0
    """Decoding and freezing a snapshot, which is done once a second."""
    longest_gap_s: float = 0.0
    """Between two sweeps of a device that answers."""
    fewest_sweeps: int = 0
    """Of a device that answers."""
    failed: int = 0
    """Tried in the window, and ended without an answer that could be used."""

    @property
    def us_per_poll(self) -> float:
        """CPU per poll, µs."""
        return 1e6 * self.cpu_s / self.polls

    @property
    def busy(self) -> float:
        """Share of a core, %."""
        return 100 * self.cpu_s / self.wall_s

    @property
    def waited(self) -> float:
        """Share of the window that other processes took from it, %."""
        return 100 * self.waited_s / self.wall_s

    def to_json(self) -> str:
        """As a client prints it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Outcome":
        """What a client printed, ours or the one in C."""
        return cls(**json.loads(text))
