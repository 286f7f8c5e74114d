"""What can be wrong with something signed, or with a key."""

from daemon.errors import QuotawattError


class SigningError(QuotawattError):
    """Base of what this package raises."""


class MalformedError(SigningError):
    """The text is not what the contract allows; it cannot be read, so nothing may be made of it."""


class BadSignatureError(SigningError):
    """The text is well-formed and was not signed by this key."""


class KeyFileError(SigningError):
    """A key cannot be used; the message says what is wrong and what would be right."""
