"""Who is asking: the bearer token that comes with every request."""

from dataclasses import dataclass

from sim_devices.exchange.encoding import FormError, parse_json_object
from sim_devices.exchange.envelopes import Envelope, open_envelope
from sim_devices.exchange.keyring import KeyRing
from sim_devices.exchange.problems import ProblemError

SKEW_S = 10
MAX_LIFE_S = 60
_CLAIMS = frozenset({"iss", "sub", "aud", "iat", "exp", "jti"})


@dataclass(frozen=True, slots=True)
class Claims:
    """What a bearer says; times in Unix seconds."""

    site: str
    audience: str
    iat: int
    exp: int


def open_bearer(headers: list[str]) -> tuple[Envelope, Claims]:
    """The token of the only `Authorization` header, unverified.

    Raises:
        ProblemError: 401, there is none that can be read.
    """
    if len(headers) != 1:
        raise unauthorized("one Authorization header is needed")
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer":
        raise unauthorized("a bearer token is needed")
    try:
        envelope = open_envelope(token.strip().encode())
        return envelope, _claims(envelope)
    except FormError as error:
        raise unauthorized(f"the bearer token cannot be read: {error}") from error


def check_bearer(envelope: Envelope, claims: Claims, ring: KeyRing, *, audience: str, now_s: float) -> None:
    """Verify a token against the keys of the site that it names.

    Raises:
        ProblemError: 401.
    """
    key = ring.keys.get(envelope.kid)
    if key is None:
        raise unauthorized(f"no key {envelope.kid} of site {claims.site} is registered")
    if not envelope.signed_by(key.public):
        raise unauthorized("the bearer token's signature does not verify")
    if claims.audience != audience:
        raise unauthorized("the bearer token is for another audience")
    if not claims.iat < claims.exp <= claims.iat + MAX_LIFE_S:
        raise unauthorized(f"a bearer token lives for at most {MAX_LIFE_S} s")
    if claims.iat > now_s + SKEW_S:
        raise unauthorized("the bearer token is from the future")
    if claims.exp <= now_s - SKEW_S:
        raise unauthorized("the bearer token has expired")


def unauthorized(detail: str) -> ProblemError:
    """401 `unauthorized`."""
    return ProblemError(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def _claims(envelope: Envelope) -> Claims:
    if envelope.typ != "JWT":
        raise FormError("typ is not JWT")
    claims = parse_json_object(envelope.payload)
    if set(claims) != _CLAIMS:
        raise FormError("the claims are iss, sub, aud, iat, exp and jti")
    if not all(isinstance(claims[name], str) and claims[name] for name in ("iss", "sub", "aud", "jti")):
        raise FormError("iss, sub, aud and jti are texts")
    if not all(type(claims[name]) is int for name in ("iat", "exp")):
        raise FormError("iat and exp are integers")
    if claims["iss"] != claims["sub"]:
        raise FormError("iss and sub differ")
    return Claims(claims["iss"], claims["aud"], claims["iat"], claims["exp"])
