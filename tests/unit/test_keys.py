"""Key files: what is accepted, and what a refusal tells."""

import json
from pathlib import Path

import pytest

from daemon.signing import KeyFileError, PrivateKey, PublicKey

KEY = PrivateKey.from_seed(b"\x01" * 32)


def _file(path: Path, value: object, mode: int = 0o600) -> Path:
    path.write_text(json.dumps(value))
    path.chmod(mode)
    return path


def test_a_key_file_is_read(tmp_path: Path) -> None:
    key = PrivateKey.load(_file(tmp_path / "a.jwk", KEY.private_jwk()))
    assert key.kid == KEY.kid
    assert key.sign(b"x") == KEY.sign(b"x")


def test_a_key_file_may_name_its_kid(tmp_path: Path) -> None:
    assert PrivateKey.load(_file(tmp_path / "a.jwk", {**KEY.private_jwk(), "kid": "d-1"})).kid == "d-1"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620, 0o660])
def test_a_key_file_open_to_others_is_refused_with_its_cure(tmp_path: Path, mode: int) -> None:
    path = _file(tmp_path / "a.jwk", KEY.private_jwk(), mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        PrivateKey.load(path)


def test_a_systemd_credential_with_its_acl_mask_is_read(tmp_path: Path) -> None:
    assert PrivateKey.load(_file(tmp_path / "a.jwk", KEY.private_jwk(), 0o440)).kid == KEY.kid


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"gone\.jwk: cannot be read: No such file"):
        PrivateKey.load(tmp_path / "gone.jwk")


OTHER = PrivateKey.from_seed(b"\x02" * 32)


@pytest.mark.parametrize(
    ("jwk", "says"),
    [
        ({**KEY.private_jwk(), "x": OTHER.public_jwk()["x"]}, "x is not the public key of d"),
        (KEY.public_jwk(), "d must be 32 bytes"),
        ({**KEY.private_jwk(), "kty": "EC"}, "not an Ed25519 key"),
        ({**KEY.private_jwk(), "crv": "X25519"}, "not an Ed25519 key"),
        ({**KEY.private_jwk(), "x": "AAAA"}, "x must be 32 bytes"),
        ({**KEY.private_jwk(), "x": 5}, "x must be 32 bytes"),
        ({**KEY.private_jwk(), "kidd": "a"}, "kidd"),
        ({**KEY.private_jwk(), "kid": "a b"}, "kid 'a b'"),
        ([], "not a JSON object"),
    ],
)
def test_a_wrong_private_key_says_what_is_wrong(tmp_path: Path, jwk: object, says: str) -> None:
    with pytest.raises(KeyFileError, match=says):
        PrivateKey.load(_file(tmp_path / "a.jwk", jwk))


def test_text_that_is_no_json_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.jwk"
    path.write_text("-----BEGIN PRIVATE KEY-----")
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="not JSON"):
        PrivateKey.load(path)


def test_a_public_key_is_named_by_whoever_trusts_it() -> None:
    assert PublicKey.from_jwk("dispatch-1", KEY.public_jwk()).kid == "dispatch-1"
    assert PublicKey.from_jwk(None, KEY.public_jwk()).kid == KEY.kid
    assert PublicKey.from_jwk(None, {**KEY.public_jwk(), "kid": "d", "use": "sig"}).kid == "d"


def test_a_private_key_is_never_taken_for_a_public_one() -> None:
    with pytest.raises(KeyFileError, match="private key"):
        PublicKey.from_jwk(None, KEY.private_jwk())


def test_a_key_does_not_show_its_secret() -> None:
    assert KEY.private_jwk()["d"] not in repr(KEY)
