"""How many files the daemon needs open: every connection to a device is one."""

from dataclasses import dataclass, replace

from daemon.config.settings import Config
from drivers.address import MqttAddress

RESERVE = 128
"""Beside the devices: broker, exchange, both databases with their logs, the lock, the local interface and its
visitors, the event loop, name look-ups; twice what they come to."""


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """What a site needs, against what a process may have."""

    needed: int
    limit: int

    @property
    def enough(self) -> bool:
        """Whether every device can be connected to."""
        return self.needed <= self.limit

    @property
    def cure(self) -> str:
        """What to write where, if it is not enough."""
        return (
            f"the daemon needs {self.needed} open files and may have {self.limit}: write "
            f"LimitNOFILE={_rounded(self.needed)} in its systemd unit, or ulimit -n {_rounded(self.needed)} "
            "before it is started by hand"
        )


def open_files_needed(config: Config) -> int:
    """A file for every end that devices are reached at, and the reserve.

    Units behind one gateway share its connection; MQTT devices share the broker's.
    """
    addresses = (device.address for device in config.devices)
    ends = {replace(address, unit=0) for address in addresses if not isinstance(address, MqttAddress)}
    return len(ends) + RESERVE


def _rounded(needed: int) -> int:
    """A figure that leaves room to grow: the unit's own 65536, or the next power of two above."""
    return max(65_536, 1 << needed.bit_length())
