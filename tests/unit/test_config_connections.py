"""Serial lines and TLS in the configuration: what is read, and every mistake on its line."""

from pathlib import Path

import pytest

from daemon.config import load_config
from daemon.config.network import Destination, destinations
from daemon.errors import ConfigurationError
from drivers.address import ModbusRtuAddress, ModbusRtuTcpAddress, ModbusTlsAddress
from tests.world.certificates import Authority
from tests.world.site_files import GOOD, write_site

TLS = """
[modbus.tls]
ca = "site-ca.pem"
cert = "controller.pem"
key = "controller.key"
"""
METER = """
[[devices]]
id = "meter-{n}"
profile = "eastron-sdm630"
address = "modbus+rtu:///dev/ttyUSB0?baud=9600/{1-3}"
"""
GATEWAY = """
[[devices]]
id = "gate"
profile = "eastron-sdm630"
address = "modbus+rtu-tcp://10.3.0.1:4001/7"
"""


def device(address: str, name: str = "safe") -> str:
    return f'\n[[devices]]\nid = "{name}"\nprofile = "eastron-sdm630"\naddress = "{address}"\n'


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, {})
    return [line.replace(f"{path.parent}/", "") for line in caught.value.problems]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue("controller")
    return made


@pytest.mark.usefixtures("authority")
def test_reads_serial_lines_gateways_and_tls(tmp_path: Path) -> None:
    text = GOOD + TLS + METER + GATEWAY + device("modbuss://10.4.0.1/1")
    config = load_config(write_site(tmp_path, text), {})
    assert [each.address for each in config.devices[-5:]] == [
        *(ModbusRtuAddress("/dev/ttyUSB0", 9600, unit) for unit in (1, 2, 3)),
        ModbusRtuTcpAddress("10.3.0.1", 4001, 7),
        ModbusTlsAddress("10.4.0.1", 802, 1),
    ]
    assert config.modbus_tls is not None
    assert (config.modbus_tls.ca, config.modbus_tls.cert) == (
        tmp_path / "site-ca.pem",
        tmp_path / "controller.pem",
    )
    # A wire is no destination in a network.
    assert destinations(config)[-2:] == [
        Destination("device", "modbus+rtu-tcp", "10.3.0.1", 4001),
        Destination("device", "modbuss", "10.4.0.1", 802),
    ]


def test_tls_without_an_authority_is_refused_once(tmp_path: Path) -> None:
    text = GOOD + device("modbuss://10.4.0.1/1") + device("modbuss://10.4.0.2/1", "other")
    assert mistakes(write_site(tmp_path, text)) == [
        (
            "site.toml: modbus.tls: is missing, and safe is reached over modbuss://; "
            'add a [modbus.tls] table with ca = "devices-ca.pem", cert and key'
        )
    ]


def test_the_table_may_be_in_another_file(tmp_path: Path, authority: Authority) -> None:
    path = write_site(tmp_path, GOOD + device("modbuss://10.4.0.1/1"))
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "tls.toml").write_text(TLS, encoding="utf-8")
    found = load_config(path, {}).modbus_tls
    assert found is not None
    assert found.ca == authority.ca


@pytest.mark.usefixtures("authority")
@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('ca = "site-ca.pem"\n', "", "modbus.tls.ca: is missing; write the PEM file of the authority that "),
        ("site-ca.pem", "other.pem", "modbus.tls.ca: other.pem is not a file; name a file that exists"),
        ("site-ca.pem", "site.jwk", "modbus.tls.ca: site.jwk holds no certificate (no certificate or crl"),
        ('cert = "controller.pem"\n', "", "modbus.tls.key: is set without cert; set cert too"),
        ('key = "controller.key"\n', "", "modbus.tls.cert: is set without key; set key too"),
        (
            "controller.pem",
            "device.pem",
            "modbus.tls.key: controller.key does not belong to device.pem; name",
        ),
        ("controller.pem", "site.jwk", "modbus.tls.cert: site.jwk and controller.key are no certificate and"),
        ("controller.key", "locked.key", "modbus.tls.key: locked.key is encrypted; store it without a"),
        ("controller.key", "open.key", "modbus.tls.key: open.key is open to others (mode 0644); run: chmod"),
        (
            "cert =",
            "certificate =",
            "modbus.tls.certificate: is not a known key; write one of: ca, cert, key",
        ),
        ("[modbus.tls]", "[modbus.ssl]", "modbus.ssl: is not a known key; "),
    ],
)
def test_says_what_is_wrong_with_its_files(
    tmp_path: Path, authority: Authority, old: str, new: str, line: str
) -> None:
    authority.issue("device")
    authority.issue("locked", passphrase=b"secret")
    _, key = authority.issue("open")
    key.chmod(0o644)
    text = GOOD + TLS.replace(old, new) + device("modbuss://10.4.0.1/1")
    found = mistakes(write_site(tmp_path, text))
    assert any(each.startswith(f"site.toml: {line}") for each in found), found


def test_one_serial_line_has_one_speed(tmp_path: Path) -> None:
    text = GOOD + METER + device("modbus+rtu:///dev/ttyUSB0?baud=19200&parity=E/9")
    assert mistakes(write_site(tmp_path, text)) == [
        (
            "site.toml: devices[4].address: sets /dev/ttyUSB0 otherwise than devices[3] of site.toml; "
            "write baud=9600&parity=N&stop=1 here too"
        )
    ]


def test_a_wrong_address_is_a_line_of_its_own(tmp_path: Path) -> None:
    text = GOOD + device("modbus+rtu://ttyUSB0?baud=9600/1") + device("modbus+rtu-tcp://999.3.0.1:1/1", "b")
    assert mistakes(write_site(tmp_path, text)) == [
        (
            "site.toml: devices[3].address: 'modbus+rtu://ttyUSB0?baud=9600/1' is not a serial line; "
            "write modbus+rtu:///dev/ttyUSB0?baud=9600/UNIT"
        ),
        (
            'site.toml: devices[4].address: makes host "999.3.0.1", no IPv4 address; '
            "write four numbers up to 255"
        ),
    ]
