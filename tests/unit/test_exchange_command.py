"""`sim exchange` tells a user's mistakes apart, without a traceback."""

import json
import socket
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sim_devices.exchange.command import exchange
from sim_devices.exchange.encoding import FormError
from sim_devices.exchange.receipts import ExchangeKey
from tests.world.settling_site import Key, b64

APP = typer.Typer()
APP.command()(exchange)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--listen", "8470"], "is not HOST:PORT"),
        (["--listen", "127.0.0.1:x"], "is not HOST:PORT"),
        (["--listen", "127.0.0.1:65536"], "is not HOST:PORT"),
        (["--site", "lhe-01"], "is not ID=PUBLIC.jwk"),
        (["--site", "-=x"], "is not ID=PUBLIC.jwk"),
        (["--site", "lhe-01=absent.jwk"], "absent.jwk"),
        (["--site", "lhe-01=text.jwk"], "text.jwk"),
        (["--site", "lhe-01=list.jwk"], "list.jwk is not a JWK"),
        (["--site", "lhe-01=rsa.jwk"], "Ed25519"),
        (["--key", "absent.jwk"], "absent.jwk"),
        (["--fault", "nonsense"], "no such fault"),
        (["--fault", "busy=soon"], "a whole number"),
        (["--tls-key", "text.jwk"], "--tls-cert"),
        (["--tls-cert", "text.jwk"], "--tls-cert"),
        (["--key", "rsa.jwk"], "not a private"),
    ],
)
def test_a_mistake_is_named_and_is_a_usage_error(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("text.jwk").write_text("x")
    Path("list.jwk").write_text("[]")
    Path("rsa.jwk").write_text('{"kty": "RSA"}')
    result = CliRunner().invoke(APP, options)
    assert result.exit_code == 2
    assert said in result.output


def test_an_address_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        result = CliRunner().invoke(APP, ["--listen", listen])
    assert result.exit_code == 1
    assert f"cannot listen at {listen}" in result.output


def test_a_private_key_file_is_read(tmp_path: Path) -> None:
    key = Key("exchange-7")
    file = tmp_path / "exchange.jwk"
    file.write_text(json.dumps({**key.jwk, "kid": key.kid, "d": b64(key.private.private_bytes_raw())}))
    loaded = ExchangeKey.load(file)
    assert (loaded.kid, loaded.public_jwk) == ("exchange-7", key.jwk)


def test_a_short_private_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "exchange.jwk"
    file.write_text(json.dumps({**Key("x").jwk, "d": b64(bytes(31))}))
    with pytest.raises(FormError, match="32 bytes"):
        ExchangeKey.load(file)
