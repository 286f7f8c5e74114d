"""Errors of the drivers, named by what the caller should do."""


class DriverError(Exception):
    """Base of everything a driver raises."""


class ProfileError(DriverError):
    """A device profile cannot be used: fix the file named in the message."""


class AddressError(DriverError):
    """A device address cannot be read: fix the configuration."""


class RetryLaterError(DriverError):
    """Nothing is wrong with the request; the device or the way to it is not there now."""


class RefusedError(DriverError):
    """The device understood and said no: do not repeat the same request."""


class DesyncError(DriverError):
    """The answer does not belong to the request: the connection must be closed."""
