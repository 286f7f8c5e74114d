"""A certificate authority for one test, and what it signs."""

import contextlib
import datetime as dt
import ipaddress
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drivers.tls import TlsFiles, client_context

_DAY = dt.timedelta(days=1)
_NOW = dt.datetime.now(dt.UTC)  # noqa: TID251  certificates are judged by the real clock


@dataclass
class Authority:
    """Signs certificates into a folder."""

    folder: Path
    name: str = "site"

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(f"{self.name} authority")
        self._certificate = (
            _builder(self._subject, self._subject, self._key.public_key(), _NOW - _DAY, _NOW + _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    @classmethod
    @contextlib.contextmanager
    def temporary(cls, name: str = "site") -> "Iterator[Authority]":
        with tempfile.TemporaryDirectory() as folder:
            yield cls(Path(folder), name)

    @property
    def ca(self) -> Path:
        return self.folder / f"{self.name}-ca.pem"

    def issue(
        self, name: str, *, host: str = "127.0.0.1", expired: bool = False, passphrase: bytes | None = None
    ) -> tuple[Path, Path]:
        """Certificate and key for a name, valid for a host."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = _NOW - _DAY if expired else _NOW + _DAY
        certificate = (
            _builder(_name(name), self._subject, key.public_key(), _NOW - 2 * _DAY, until)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        cert_file, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        encryption = (
            serialization.NoEncryption()
            if passphrase is None
            else serialization.BestAvailableEncryption(passphrase)
        )
        key_file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        key_file.chmod(0o600)
        return cert_file, key_file

    def server_context(
        self, *, host: str = "127.0.0.1", expired: bool = False, trusts: "Authority | None" = None
    ) -> ssl.SSLContext:
        """Of a device that lets nobody in without a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("device", host=host, expired=expired))
        context.load_verify_locations((trusts or self).ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def files(self) -> TlsFiles:
        """Of the controller."""
        return TlsFiles(self.ca, *self.issue("controller"))

    def client_context(self) -> ssl.SSLContext:
        return client_context(self.files())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    since: dt.datetime,
    until: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
