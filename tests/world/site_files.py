"""A correct configuration on disk, for tests that break one thing in it."""

import json
from pathlib import Path

from daemon.signing import PrivateKey

DISPATCHER = PrivateKey.from_seed(b"d" * 32, "dispatch-1")
OPERATOR = PrivateKey.from_seed(b"o" * 32, "operator-1")
EXCHANGE = PrivateKey.from_seed(b"x" * 32, "exchange-1")
SITE = PrivateKey.from_seed(b"s" * 32)


def inline_jwk(key: PrivateKey) -> str:
    """The public half as an inline TOML table."""
    return "{ " + ", ".join(f'{name} = "{value}"' for name, value in key.public_jwk().items()) + " }"


GOOD = f"""
[site]
id = "lhe-01"
contract_max_mw = 25.0
failsafe_mw = 5.0
interval_s = 300
state_dir = "state"

[keys]
site = "site.jwk"

[mqtt]
url = "mqtts://broker.example:8883"

[settlement]
url = "https://exchange.example/"
keys = [{{ kid = "exchange-1", jwk = {inline_jwk(EXCHANGE)} }}]

[[trust.keys]]
kid = "dispatch-1"
role = "dispatcher"
jwk = {inline_jwk(DISPATCHER)}

[[trust.keys]]
kid = "operator-1"
role = "operator"
jwk = {inline_jwk(OPERATOR)}

[[circuits]]
id = "feeder-1"
max_mw = 12.5

[[circuits]]
id = "hall-1"
max_mw = 6
parent = "feeder-1"

[[devices]]
id = "poi"
profile = "schneider-pm5340"
address = "modbus://10.0.0.5:502/1"
role = "site-meter"

[[devices]]
id = "m-{{n:05}}"
profile = "sim-miner"
address = "modbus://10.1.{{0-1}}.{{1-120}}:502/1"
circuit = "hall-1"
fed_by = "pdu-{{1-12}}/{{1-20}}"

[[devices]]
id = "pdu-{{n}}"
profile = "sim-pdu"
address = "modbus://10.2.0.{{1-12}}:502/1"
circuit = "feeder-1"
"""


def write_site(folder: Path, text: str = GOOD) -> Path:
    """Write the key and the configuration; its path."""
    key = folder / "site.jwk"
    key.write_text(json.dumps(SITE.private_jwk()), encoding="utf-8")
    key.chmod(0o600)
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path
