"""What can be wrong between the ledger and the exchange."""

from collections.abc import Mapping
from enum import StrEnum

import structlog

_log = structlog.get_logger(__name__)


class UplinkAlarm(StrEnum):
    """What can be wrong; also the alarm's type."""

    UNREACHABLE = "exchange-unreachable"
    UNAUTHORIZED = "exchange-unauthorized"
    REFUSED = "ledger-refused"
    RESTORED = "exchange-restored"
    """It lacks records that it has acknowledged; they are sent again."""
    RECEIPT = "receipt-invalid"
    UNEXPECTED = "exchange-unexpected"
    """An answer that the contract does not know."""


_PASSING = (
    UplinkAlarm.UNREACHABLE,
    UplinkAlarm.UNAUTHORIZED,
    UplinkAlarm.RECEIPT,
    UplinkAlarm.UNEXPECTED,
    UplinkAlarm.REFUSED,
)
"""Over with the next receipt."""


class UplinkAlarms:
    """What is wrong now, with what to tell the operator."""

    def __init__(self) -> None:
        self._standing: dict[UplinkAlarm, str] = {}

    @property
    def standing(self) -> Mapping[UplinkAlarm, str]:
        """By alarm, the text."""
        return self._standing

    def sound(self, alarm: UplinkAlarm, text: str) -> None:
        """Something is wrong; another text replaces the first."""
        # Whoever shows `standing` tells the operator, once; here it is for whoever debugs.
        if alarm not in self._standing:
            _log.debug(text, alarm=alarm.value)
        self._standing[alarm] = text

    def clear(self, alarm: UplinkAlarm) -> None:
        """It is over, if it was."""
        if self._standing.pop(alarm, None) is not None:
            _log.debug("over", alarm=alarm.value)

    def receipted(self) -> None:
        """The exchange has acknowledged records."""
        for alarm in _PASSING:
            self.clear(alarm)
