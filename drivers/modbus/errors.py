"""Errors of an answer. The connection survives both: what follows can still be told apart."""

from drivers.errors import DriverError


class AnswerError(DriverError):
    """The answer carries our transaction and yet is no answer to the request: its values are nothing."""


class DeviceExceptionError(DriverError):
    """The device, or the gateway before it, answered with an exception."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code:02X}")
        self.code = code

    @property
    def permanent(self) -> bool:
        """The same request will be refused again: function, address or value is wrong."""
        return self.code in {0x01, 0x02, 0x03}

    @property
    def busy(self) -> bool:
        """The device is well and has no time now."""
        return self.code in {0x05, 0x06}

    @property
    def off_line(self) -> bool:
        """The gateway is well; the unit behind it does not answer."""
        return self.code in {0x0A, 0x0B}
