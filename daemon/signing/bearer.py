"""The token that the site shows to the exchange."""

from daemon.signing.ijson import dumps
from daemon.signing.jws import sign
from daemon.signing.keys import PrivateKey

LIFETIME_S = 60
"""Longest life of a token (contract §5)."""


def bearer_token(key: PrivateKey, *, site: str, audience: str, iat: int, jti: str) -> str:
    """A JWT (`typ` JWT) by which `site` speaks to `audience` until `iat` + 60 s.

    Args:
        key: the site's key.
        site: the site's id, as `iss` and `sub`.
        audience: `settlement.audience`.
        iat: now, in Unix seconds.
        jti: a fresh UUID.
    """
    claims = {"iss": site, "sub": site, "aud": audience, "iat": iat, "exp": iat + LIFETIME_S, "jti": jti}
    return sign(dumps(claims), "JWT", key)
