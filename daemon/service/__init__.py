"""The daemon as a service of the machine: telling systemd how it is, and logging."""

from daemon.service.liveness import Liveness
from daemon.service.logging import configure_logging, only_errors
from daemon.service.notify import Notifier

__all__ = ["Liveness", "Notifier", "configure_logging", "only_errors"]
