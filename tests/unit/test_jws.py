"""Compact JWS: what is read, what is refused, and that others read ours."""

import json

import pytest
from joserfc import jws as other_jws
from joserfc.jwk import OKPKey

from daemon.signing import (
    BadSignatureError,
    MalformedError,
    PrivateKey,
    b64url_encode,
    bearer_token,
    jws_hash,
    loads,
    parse,
    sign,
    verify,
)

KEY = PrivateKey.from_seed(b"\x01" * 32, "dispatch-1")


def test_what_is_signed_is_read_back_and_verifies() -> None:
    envelope = parse(sign(b"payload", "qw-cmd+jws", KEY).encode())
    assert envelope.payload == b"payload"
    assert (envelope.header.alg, envelope.header.kid, envelope.header.typ) == (
        "EdDSA",
        "dispatch-1",
        "qw-cmd+jws",
    )
    verify(envelope, KEY.public())


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # the contract's name for it all the same
def test_another_implementation_verifies_ours() -> None:
    jwk = OKPKey.import_key({**KEY.public_jwk()})
    text = sign(b'{"a":1}', "qw-cmd+jws", KEY)
    assert other_jws.deserialize_compact(text, jwk, algorithms=["Ed25519", "EdDSA"]).payload == b'{"a":1}'


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # the contract's name for it all the same
def test_ours_verifies_another_implementations_under_both_names_of_the_algorithm() -> None:
    jwk = OKPKey.import_key({**KEY.private_jwk()})
    for alg in ("EdDSA", "Ed25519"):
        header = {"alg": alg, "kid": "dispatch-1", "typ": "qw-cmd+jws"}
        verify(parse(other_jws.serialize_compact(header, b"x", jwk, algorithms=[alg]).encode()), KEY.public())


def test_the_vector_of_rfc_8037_verifies() -> None:
    key = PrivateKey.from_jwk(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
    )
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    signing_input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    assert b64url_encode(key.sign(signing_input)) == signature


def test_another_key_did_not_sign_it() -> None:
    envelope = parse(sign(b"payload", "t", KEY).encode())
    with pytest.raises(BadSignatureError):
        verify(envelope, PrivateKey.from_seed(b"\x02" * 32, "dispatch-1").public())


def test_a_key_of_another_name_does_not_verify_it() -> None:
    envelope = parse(sign(b"payload", "t", KEY).encode())
    with pytest.raises(BadSignatureError, match="in the name of dispatch-1"):
        verify(envelope, PrivateKey.from_seed(b"\x01" * 32, "other").public())


def _with_header(header: object) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    signing_input = f"{b64url_encode(text)}.{b64url_encode(b'x')}"
    return f"{signing_input}.{b64url_encode(KEY.sign(signing_input.encode()))}".encode()


GOOD = {"alg": "EdDSA", "kid": "dispatch-1", "typ": "t"}


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({**GOOD, "crit": ["b64"]}, id="one more"),
        pytest.param({"alg": "EdDSA", "kid": "dispatch-1"}, id="one less"),
        pytest.param({**GOOD, "alg": "none"}, id="none"),
        pytest.param({**GOOD, "alg": "HS256"}, id="a symmetric algorithm"),
        pytest.param({**GOOD, "alg": ["EdDSA"]}, id="alg is a list"),
        pytest.param({**GOOD, "kid": "a" * 65}, id="kid too long"),
        pytest.param({**GOOD, "kid": ""}, id="kid empty"),
        pytest.param({**GOOD, "kid": "a/b"}, id="kid with a slash"),
        pytest.param({**GOOD, "kid": "dispatch-1\n"}, id="kid with a line end"),
        pytest.param({**GOOD, "kid": 7}, id="kid a number"),
        pytest.param({**GOOD, "typ": None}, id="typ null"),
        pytest.param({**GOOD, "typ": "t" * 600}, id="header too long"),
        pytest.param(["alg", "kid", "typ"], id="a list"),
        pytest.param(b'{"alg":"EdDSA","kid":"a","kid":"dispatch-1","typ":"t"}', id="a name twice"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_header_is_exactly_alg_kid_typ(header: object) -> None:
    parse(_with_header(GOOD))
    with pytest.raises(MalformedError):
        parse(_with_header(header))


@pytest.mark.parametrize("text", [b"", b"a.b", b"a.b.c.d", b"..", b"\xff.\xff.\xff"])
def test_a_compact_jws_has_three_parts(text: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(text)


def test_a_line_end_or_padding_is_not_part_of_a_jws() -> None:
    text = sign(b"payload", "t", KEY).encode()
    for wrong in (text + b"\n", text + b"==", b" " + text, text.replace(b".", b".\n", 1)):
        with pytest.raises(MalformedError):
            parse(wrong)


def test_one_signature_has_one_spelling() -> None:
    text = sign(b"payload", "t", KEY)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(text[-1])
    respelt = text[:-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last + 1]
    with pytest.raises(MalformedError, match="unused bits"):
        parse(respelt.encode())


def test_a_truncated_signature_is_a_bad_one() -> None:
    signing_input, _, _ = sign(b"payload", "t", KEY).rpartition(".")
    for length in (0, 61, 63):
        short = b64url_encode(KEY.sign(signing_input.encode())[:length])
        with pytest.raises(BadSignatureError):
            verify(parse(f"{signing_input}.{short}".encode()), KEY.public())


def test_a_hash_is_over_the_ascii_without_line_end() -> None:
    assert jws_hash("abc") == jws_hash(b"abc") == "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"


def test_a_bearer_token_lives_sixty_seconds() -> None:
    envelope = parse(bearer_token(KEY, site="lhe-01", audience="exchange", iat=1000, jti="j").encode())
    verify(envelope, KEY.public())
    assert envelope.header.typ == "JWT"
    assert loads(envelope.payload) == {
        "iss": "lhe-01",
        "sub": "lhe-01",
        "aud": "exchange",
        "iat": 1000,
        "exp": 1060,
        "jti": "j",
    }
