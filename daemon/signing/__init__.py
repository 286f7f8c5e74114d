"""Signatures as the contract wants them: Ed25519, compact JWS with three header members, I-JSON.

Pure but for `PrivateKey.load`, which reads a file, and `PrivateKey.generate`, which draws a key.
"""

from daemon.signing.base64url import decode as b64url_decode
from daemon.signing.base64url import encode as b64url_encode
from daemon.signing.bearer import bearer_token
from daemon.signing.errors import BadSignatureError, KeyFileError, MalformedError, SigningError
from daemon.signing.hashing import jws_hash
from daemon.signing.ijson import MAX_INTEGER, dumps, loads
from daemon.signing.jws import Envelope, Header, parse, sign, verify
from daemon.signing.keys import KID_FORM, PrivateKey, PublicKey

__all__ = [
    "KID_FORM",
    "MAX_INTEGER",
    "BadSignatureError",
    "Envelope",
    "Header",
    "KeyFileError",
    "MalformedError",
    "PrivateKey",
    "PublicKey",
    "SigningError",
    "b64url_decode",
    "b64url_encode",
    "bearer_token",
    "dumps",
    "jws_hash",
    "loads",
    "parse",
    "sign",
    "verify",
]
