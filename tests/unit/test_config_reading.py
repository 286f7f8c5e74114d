"""What a correct configuration becomes: conf.d, CSV, credentials, defaults, units."""

from pathlib import Path

import pytest

from daemon.config import KeyRole, MqttProtocol, OnStop, Tier, load_config
from daemon.errors import ConfigurationError
from drivers.address import ModbusTcpAddress
from drivers.profile import Role
from tests.world.site_files import DISPATCHER, EXCHANGE, GOOD, write_site


def lines_of(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, {})
    return [line.replace(f"{path.parent}/", "") for line in caught.value.problems]


def drop_in(folder: Path, name: str, text: str) -> None:
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "conf.d" / name).write_text(text, encoding="utf-8")


def test_values_come_in_the_daemons_units_with_the_contracts_defaults(tmp_path: Path) -> None:
    config = load_config(write_site(tmp_path), {})

    assert config.site.contract_max_w == 25_000_000
    assert config.site.failsafe_w == 5_000_000
    assert config.site.state_dir == tmp_path / "state"
    assert (config.site_key_path, config.previous_key_path) == (tmp_path / "site.jwk", None)
    assert (config.control.lease_timeout_s, config.control.failsafe_ramp_s) == (120, 300)
    assert (config.control.ramp_up_pct_per_min, config.control.settle_s) == (10, 30)
    assert config.control.on_stop is OnStop.KEEP
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.tls) == ("broker.example", 8883, True)
    assert config.mqtt.protocol is MqttProtocol.AUTO
    assert config.settlement is not None
    assert config.settlement.audience == "exchange"
    assert config.settlement.keys[0].jwk == EXCHANGE.public_jwk()
    assert (config.http_listen.host, config.http_listen.port) == ("127.0.0.1", 8480)
    assert config.trust_keys[0].role is KeyRole.DISPATCHER
    assert config.trust_keys[0].jwk == DISPATCHER.public_jwk()
    assert [(circuit.id, circuit.max_w, circuit.parent) for circuit in config.circuits] == [
        ("feeder-1", 12_500_000, None),
        ("hall-1", 6_000_000, "feeder-1"),
    ]


def test_a_hall_of_devices_from_one_entry(tmp_path: Path) -> None:
    devices = load_config(write_site(tmp_path), {}).devices

    assert [len(devices), devices[0].id, devices[0].role] == [253, "poi", Role.SITE_METER]
    assert devices[0].circuit is None
    first, last = devices[1], devices[240]
    assert (first.id, first.address, first.fed_by) == (
        "m-00001",
        ModbusTcpAddress("10.1.0.1", 502, 1),
        ("pdu-1", 1),
    )
    assert (last.id, last.address, last.fed_by) == (
        "m-00240",
        ModbusTcpAddress("10.1.1.120", 502, 1),
        ("pdu-12", 20),
    )
    assert (first.role, first.tier, first.period_s) == (Role.LOAD, Tier.NORMAL, first.profile.period_s)


def test_plaintext_is_allowed_on_this_machine_or_when_said(tmp_path: Path) -> None:
    local = GOOD.replace("mqtts://broker.example:8883", "mqtt://127.0.0.1:1883").replace(
        "https://exchange.example/", "http://[::1]:8099"
    )
    assert load_config(write_site(tmp_path, local), {}).mqtt.tls is False

    said = GOOD.replace('"mqtts://broker.example:8883"', '"mqtt://broker.example"\nallow_plaintext = true')
    mqtt = load_config(write_site(tmp_path, said), {}).mqtt
    assert (mqtt.tls, mqtt.port) == (False, 1883)


def test_a_settlement_url_always_ends_with_a_slash(tmp_path: Path) -> None:
    text = GOOD.replace("https://exchange.example/", "https://exchange.example/desk")

    settlement = load_config(write_site(tmp_path, text), {}).settlement

    assert settlement is not None
    assert settlement.url == "https://exchange.example/desk/"


def test_without_an_exchange_there_is_no_settlement(tmp_path: Path) -> None:
    head, _, rest = GOOD.partition("[settlement]")
    text = head + rest[rest.index("[[trust.keys]]") :]

    assert load_config(write_site(tmp_path, text), {}).settlement is None


def test_a_validity_may_be_a_toml_time_or_the_wire_form(tmp_path: Path) -> None:
    text = GOOD.replace(
        'role = "operator"\n',
        'role = "operator"\nnot_before = 2027-01-01T02:00:00+02:00\nnot_after = "2027-01-02T00:00:00Z"\n',
    )

    key = load_config(write_site(tmp_path, text), {}).trust_keys[1]

    assert (key.not_before, key.not_after) == (1_798_761_600, 1_798_848_000)


def test_conf_d_adds_to_lists_and_fills_tables_in_the_order_of_names(tmp_path: Path) -> None:
    path = write_site(tmp_path)
    device = '[[devices]]\nid = "{0}"\nprofile = "sim-miner"\naddress = "modbus://10.9.0.{1}/1"\n'
    device += 'circuit = "hall-1"\n'
    drop_in(tmp_path, "20-b.toml", device.format("b", 2))
    drop_in(tmp_path, "10-a.toml", device.format("a", 1) + "[site.x]\n".replace("[site.x]\n", ""))
    drop_in(tmp_path, "30-control.toml", '[control]\nsettle_s = 10\n[mqtt]\nprotocol = "5"\n')
    drop_in(tmp_path, "README", "not TOML at all")

    config = load_config(path, {})

    assert [device.id for device in config.devices[-2:]] == ["a", "b"]
    assert config.control.settle_s == 10
    assert config.mqtt.protocol is MqttProtocol.V5


def test_a_mistake_in_conf_d_names_that_file(tmp_path: Path) -> None:
    path = write_site(tmp_path)
    drop_in(tmp_path, "a.toml", '[mqtt]\nurl = "mqtts://other"\nuser = "x"\n[[circuits]]\nid = "c"\n')
    drop_in(tmp_path, "b.toml", "[control\n")

    assert lines_of(path) == [
        "conf.d/a.toml: mqtt.url: is already set in site.toml; set it in one file only",
        (
            "conf.d/b.toml: line 1, column 9: is not TOML: Expected ']' at the end of a table declaration; "
            "mend the syntax there"
        ),
        "conf.d/a.toml: mqtt.user: is not a known key; did you mean 'username'?",
        (
            "conf.d/a.toml: circuits[0].max_mw: is missing; "
            "write the circuit's limit in MW, a number above 0 such as 12.5"
        ),
    ]


def test_what_is_missing_is_not_blamed_while_a_file_cannot_be_read(tmp_path: Path) -> None:
    path = write_site(tmp_path, GOOD.replace('[keys]\nsite = "site.jwk"\n', ""))
    drop_in(tmp_path, "keys.toml", '[keys]\nsite = "site.jwk\n')

    (line,) = lines_of(path)

    assert line.startswith("conf.d/keys.toml: line 2")


CSV_ENTRY = '[[devices_csv]]\nfile = "hall.csv"\n'


def test_devices_from_a_csv_file(tmp_path: Path) -> None:
    path = write_site(tmp_path, GOOD + CSV_ENTRY)
    (tmp_path / "hall.csv").write_text(
        "id,profile,address,tier,period_s,circuit\n"
        "c-1,sim-miner,modbus://10.7.0.1/1,critical,2.5,hall-1\n"
        "\n"
        'c-2,sim-pdu,"modbus://10.7.0.2/1",,,\n',
        encoding="utf-8",
    )

    first, second = load_config(path, {}).devices[-2:]

    assert (first.id, first.tier, first.period_s, first.circuit) == ("c-1", Tier.CRITICAL, 2.5, "hall-1")
    assert (second.id, second.tier, second.circuit) == ("c-2", Tier.NORMAL, None)


def test_mistakes_in_a_csv_file_name_its_lines(tmp_path: Path) -> None:
    path = write_site(tmp_path, GOOD + CSV_ENTRY)
    (tmp_path / "hall.csv").write_text(
        "id,profile,address,period_s,circuit\n"
        "c-1,sim-minr,modbus://10.7.0.1/1,1,hall-1\n"
        "c-2,sim-miner,modbus://10.7.0.2/1\n"
        "c-3,sim-miner,,fast,hall-1\n"
        "poi,sim-miner,modbus://10.7.0.4/1,1,hall-1\n",
        encoding="utf-8",
    )

    found = lines_of(path)

    assert found[0] == "hall.csv: line 3: has 3 cells; write 5, as the header has"
    assert found[1] == (
        "hall.csv: line 2: profile: is \"sim-minr\", no known profile; did you mean 'sim-miner'?"
    )
    assert [line.partition(";")[0] for line in found[2:]] == [
        "hall.csv: line 4: address: is missing",
        'hall.csv: line 4: period_s: is "fast"',
        'hall.csv: line 5: id: "poi" is already taken by devices[0] of site.toml',
    ]


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("id,profile,adress", "hall.csv: line 1: adress: is not a known column; did you mean 'address'?"),
        ("id,profile,id", "hall.csv: line 1: id: is there twice; name each column once"),
        ("", "hall.csv: line 1: is empty; name the columns: id,profile,address"),
    ],
)
def test_a_csv_header_is_checked(tmp_path: Path, header: str, line: str) -> None:
    path = write_site(tmp_path, GOOD + CSV_ENTRY)
    (tmp_path / "hall.csv").write_text(header + "\na,b,c\n" if header else "", encoding="utf-8")

    assert lines_of(path) == [line]


def test_a_csv_file_that_is_not_there(tmp_path: Path) -> None:
    assert lines_of(write_site(tmp_path, GOOD + CSV_ENTRY)) == [
        (
            "site.toml: devices_csv[0].file: hall.csv cannot be read: No such file or directory; "
            "name a file that this user may read"
        )
    ]


def test_under_systemd_a_credential_replaces_the_file(tmp_path: Path) -> None:
    path = write_site(tmp_path)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (tmp_path / "site.jwk").rename(credentials / "site.jwk")
    (credentials / "site.jwk").chmod(0o440)

    config = load_config(path, {"CREDENTIALS_DIRECTORY": str(credentials)})

    assert config.site_key_path == credentials / "site.jwk"


def test_a_credential_of_a_folder_is_named_as_systemd_names_it(tmp_path: Path) -> None:
    path = write_site(tmp_path, GOOD.replace('site = "site.jwk"', 'site = "keys/site.jwk"'))
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (tmp_path / "site.jwk").rename(credentials / "keys_site.jwk")
    (credentials / "keys_site.jwk").chmod(0o440)

    config = load_config(path, {"CREDENTIALS_DIRECTORY": str(credentials)})

    assert config.site_key_path == credentials / "keys_site.jwk"


def test_a_key_that_others_can_read_is_refused_though_systemd_passed_it_on(tmp_path: Path) -> None:
    path = write_site(tmp_path)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "site.jwk").write_bytes((tmp_path / "site.jwk").read_bytes())
    (credentials / "site.jwk").chmod(0o440)
    (tmp_path / "site.jwk").chmod(0o644)

    with pytest.raises(ConfigurationError) as caught:
        load_config(path, {"CREDENTIALS_DIRECTORY": str(credentials)})

    (line,) = caught.value.problems
    assert line.endswith(f"is open to others (mode 0644); run: chmod 600 {tmp_path}/site.jwk")


def test_the_broker_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    text = GOOD.replace(':8883"\n', ':8883"\nusername = "lhe-01"\npassword_file = "broker.password"\n')
    path = write_site(tmp_path, text)
    secret = tmp_path / "broker.password"
    secret.write_text("pass word\n", encoding="utf-8")
    secret.chmod(0o600)

    assert load_config(path, {}).mqtt.password == "pass word"

    secret.write_text("", encoding="utf-8")
    assert lines_of(path) == [
        "site.toml: mqtt.password_file: broker.password is empty; put the password on its first line"
    ]
