"""sd_notify(3): one datagram for each thing that the service manager should know."""

import os
import socket
from collections.abc import Mapping
from typing import Self


class Notifier:
    """Tells the service manager. Without one, and when it does not listen, nothing happens."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self._address = _socket_address(address) if address else None
        self._watchdog_s = watchdog_s

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, pid: int | None = None) -> Self:
        """As systemd has set it up: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`."""
        environment = os.environ if environment is None else environment
        pid = os.getpid() if pid is None else pid
        watchdog_s = None
        microseconds = environment.get("WATCHDOG_USEC", "")
        if microseconds.isdecimal() and environment.get("WATCHDOG_PID", str(pid)) == str(pid):
            watchdog_s = int(microseconds) / 1_000_000 or None
        return cls(environment.get("NOTIFY_SOCKET"), watchdog_s)

    @property
    def watchdog_interval_s(self) -> float | None:
        """How often to call `watchdog`, half of what is allowed; `None` = nobody waits for it."""
        return None if self._watchdog_s is None else self._watchdog_s / 2

    def ready(self, status: str = "") -> None:
        """The start is complete."""
        self._send("READY=1", status)

    def reloading(self, monotonic_s: float) -> None:
        """A reload begins; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(monotonic_s * 1_000_000)}", raw=True)

    def stopping(self, status: str = "") -> None:
        """The end has begun."""
        self._send("STOPPING=1", status)

    def status(self, text: str) -> None:
        """A line for `systemctl status`."""
        self._send("", text)

    def watchdog(self) -> None:
        """The control loop is alive."""
        self._send("WATCHDOG=1", "")

    def _send(self, state: str, status: str, *, raw: bool = False) -> None:
        if self._address is None:
            return
        # A line break would end the status and begin something else.
        line = status if raw or not status else "STATUS=" + " ".join(status.split())
        message = "\n".join(part for part in (state, line) if part).encode("utf-8")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.setblocking(False)  # noqa: FBT003 - the socket module's own signature
                notify.sendto(message, self._address)
        except OSError:
            # The service manager is not listening or is flooded; control must not wait for it.
            return


def _socket_address(name: str) -> str | None:
    """A path, or `@name` in Linux's abstract name space."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None
