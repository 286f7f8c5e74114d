"""TLS to devices: both ends show a certificate."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from drivers.errors import DriverError

_WANTS_ANOTHER = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a client certificate, and none was given",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority that signed our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired, it says",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refuses the handshake; it may want a client certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "it knows our certificate and does not let it in",
    "WRONG_VERSION_NUMBER": "what answers there does not speak TLS",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it does not speak TLS 1.2 or 1.3",
    "UNSUPPORTED_PROTOCOL": "it does not speak TLS 1.2 or 1.3",
}


class TlsFileError(DriverError):
    """A certificate or a key cannot be used."""

    def __init__(self, key: str, what: str, right: str) -> None:
        super().__init__(f"{key}: {what}; {right}")
        self.key = key
        """`ca`, `cert` or `key`."""
        self.what = what
        self.right = right


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files for all devices of a site."""

    ca: Path
    """Of the authority that signed the devices' certificates; no other is trusted."""
    cert: Path | None = None
    """Of this controller; devices that follow the standard insist on it."""
    key: Path | None = None


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.2 or later; a device must show a certificate for the very host that is configured.

    Raises:
        TlsFileError: a file holds something else than it should.
    """
    try:
        context = ssl.create_default_context(cafile=files.ca)
    except (ssl.SSLError, OSError) as error:
        what = f"{files.ca} holds no certificate ({_said(error)})"
        raise TlsFileError("ca", what, "name the PEM file of the authority that signed the devices") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.cert is not None:
        _load_own(context, files.cert, files.key)
    return context


def _load_own(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    asked = False

    def no_passphrase() -> str:
        nonlocal asked
        asked = True
        return ""

    try:
        context.load_cert_chain(cert, key, no_passphrase)
    except (ssl.SSLError, OSError) as error:
        if asked:
            what = f"{key} is encrypted"
            raise TlsFileError(
                "key", what, "store it without a passphrase, readable by the service"
            ) from None
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise TlsFileError(
                "key", f"{key} does not belong to {cert}", "name the key of that certificate"
            ) from None
        what = f"{cert} and {key} are no certificate and key in PEM ({_said(error)})"
        raise TlsFileError("cert", what, "name the controller's certificate and its key") from None


def tls_trouble(error: ssl.SSLError) -> str:
    """What stands in the way of a connection, for whoever has to mend it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    return _WANTS_ANOTHER.get(error.reason or "", f"TLS: {_said(error)}")


def _said(error: OSError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else error.strerror or str(error)
