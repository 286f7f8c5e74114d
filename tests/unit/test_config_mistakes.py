"""Every mistake gets its own line: file, key path, what is wrong, what would be right."""

import json
from pathlib import Path

import pytest

from daemon.config import load_config
from daemon.errors import ConfigurationError
from tests.world.site_files import DISPATCHER, GOOD, OPERATOR, SITE, inline_jwk, write_site


def mistakes(path: Path) -> list[str]:
    """The lines, with the main file's name cut short."""
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, {})
    return [line.replace(f"{path.parent}/", "") for line in caught.value.problems]


# (what is replaced in a good file, by what, the only line that comes of it)
ONE_MISTAKE = [
    (
        'id = "lhe-01"\n',
        'id = "lhe 01"\n',
        (
            "site.toml: site.id: is \"lhe 01\"; write 1-64 letters, digits, '.', '_' or '-', "
            "the first a letter or digit"
        ),
    ),
    (
        'id = "lhe-01"\n',
        'id = "lhe-01\\n"\n',
        (
            "site.toml: site.id: is \"lhe-01\\n\"; write 1-64 letters, digits, '.', '_' or '-', "
            "the first a letter or digit"
        ),
    ),
    (
        "contract_max_mw = 25.0",
        'contract_max_mw = "25"',
        (
            'site.toml: site.contract_max_mw: is "25"; write the contract maximum in MW, '
            "a number above 0 such as 25.0"
        ),
    ),
    (
        "contract_max_mw = 25.0",
        "contract_max_mw = true",
        (
            "site.toml: site.contract_max_mw: is true; write the contract maximum in MW, "
            "a number above 0 such as 25.0"
        ),
    ),
    (
        "contract_max_mw = 25.0",
        "contract_max_mw = nan",
        (
            "site.toml: site.contract_max_mw: is nan; write the contract maximum in MW, "
            "a number above 0 such as 25.0"
        ),
    ),
    (
        "failsafe_mw = 5.0",
        "failsafe_mw = 25.5",
        "site.toml: site.failsafe_mw: is 25.5 MW, above contract_max_mw (25.0 MW); write at most 25.0",
    ),
    (
        "failsafe_mw = 5.0",
        "failsafe_mw = -1",
        (
            "site.toml: site.failsafe_mw: is -1; write the limit in MW while nobody with "
            "authority speaks, a number from 0 such as 5.0"
        ),
    ),
    (
        "failsafe_mw = 5.0\n",
        "",
        (
            "site.toml: site.failsafe_mw: is missing; write the limit in MW while nobody with "
            "authority speaks, a number from 0 such as 5.0"
        ),
    ),
    (
        "interval_s = 300",
        "interval_s = 700",
        (
            "site.toml: site.interval_s: is 700, which does not divide 86400; "
            "write 60, 300, 900 or 3600, for example"
        ),
    ),
    (
        "interval_s = 300",
        "interval_s = 300.0",
        (
            "site.toml: site.interval_s: is 300.0; write the settlement interval in whole seconds "
            "that divide 86400, such as 300"
        ),
    ),
    (
        '[keys]\nsite = "site.jwk"\n',
        "",
        'site.toml: keys: is missing; add a [keys] table with site = "site.jwk"',
    ),
    (
        'site = "site.jwk"',
        'site = "absent.jwk"',
        "site.toml: keys.site: absent.jwk is not a file; name a file that exists",
    ),
    (
        "mqtts://broker.example:8883",
        "mqtt://broker.example:1883",
        (
            'site.toml: mqtt.url: is "mqtt://broker.example:1883", which is not encrypted and leaves '
            "this machine; write mqtts:// or set mqtt.allow_plaintext = true"
        ),
    ),
    (
        "mqtts://broker.example:8883",
        "broker.example:8883",
        "site.toml: mqtt.url: is 'broker.example:8883'; begin with mqtts:// or mqtt://",
    ),
    (
        "mqtts://broker.example:8883",
        "mqtts://site:secret@broker.example",
        "site.toml: mqtt.url: has credentials in the URL; put them into keys and files of their own",
    ),
    (
        '8883"\n',
        '8883"\nprotocol = "4"\n',
        'site.toml: mqtt.protocol: is "4"; write "auto", "5" or "3.1.1"',
    ),
    (
        '8883"\n',
        '8883"\ncert = "site.jwk"\n',
        "site.toml: mqtt.cert: is set without key; set key too",
    ),
    (
        "https://exchange.example/",
        "http://exchange.example/",
        (
            'site.toml: settlement.url: is "http://exchange.example/", which is not encrypted and leaves '
            "this machine; write https:// or set settlement.allow_plaintext = true"
        ),
    ),
    (
        "[settlement]\n",
        "[setlement]\n",
        "site.toml: setlement: is not a known table; did you mean 'settlement'?",
    ),
    (
        "[site]\n",
        '[http]\nlisten = "127.0.0.1"\n[site]\n',
        "site.toml: http.listen: is '127.0.0.1'; write HOST:PORT, such as 127.0.0.1:8480",
    ),
    (
        'role = "dispatcher"',
        'role = "dipatcher"',
        'site.toml: trust.keys[0].role: is "dipatcher"; write "dispatcher", "operator" or "engineer"',
    ),
    (
        inline_jwk(OPERATOR),
        inline_jwk(DISPATCHER),
        (
            "site.toml: trust.keys[1].jwk: is the same key as in trust.keys[0] of site.toml; "
            "give every sender a key of its own"
        ),
    ),
    (
        'kid = "operator-1"',
        'kid = "dispatch-1"',
        (
            'site.toml: trust.keys[1].kid: "dispatch-1" is already taken by trust.keys[0] of site.toml; '
            "give every key its own kid"
        ),
    ),
    (
        'role = "operator"\n',
        'role = "operator"\nnot_before = "2027-01-01"\n',
        'site.toml: trust.keys[1].not_before: is "2027-01-01"; write a UTC time such as 2027-01-01T00:00:00Z',
    ),
    (
        'role = "operator"\n',
        'role = "operator"\nnot_before = 2027-01-01T00:00:00Z\nnot_after = 2026-01-01T00:00:00Z\n',
        "site.toml: trust.keys[1].not_after: is not after not_before; write a later time",
    ),
    (
        inline_jwk(OPERATOR),
        '{ kty = "OKP", crv = "Ed25519", x = "short" }',
        (
            "site.toml: trust.keys[1].jwk.x: is no Ed25519 public key; "
            "copy the 43 characters of x from the sender's .pub.jwk"
        ),
    ),
    (
        'id = "feeder-1"\n',
        'id = "feeder-1"\nparent = "feeder-1"\n',
        "site.toml: circuits[0].parent: goes in a circle: feeder-1 → feeder-1; take one parent out",
    ),
    (
        'parent = "feeder-1"',
        'parent = "feeder-l"',
        "site.toml: circuits[1].parent: is \"feeder-l\", no known circuit; did you mean 'feeder-1'?",
    ),
    (
        "max_mw = 6\n",
        "max_mw = 13\n",
        (
            "site.toml: circuits[1].max_mw: is 13 MW, above the 12.5 MW of its parent feeder-1; "
            "write at most 12.5"
        ),
    ),
    (
        "max_mw = 6\n",
        'max_mw = 6\nmeter = "poi-2"\n',
        'site.toml: circuits[1].meter: is "poi-2", no known device; there is none',
    ),
    (
        "max_mw = 6\n",
        'max_mw = 6\nmeter = "poi"\n',
        (
            'site.toml: circuits[1].meter: is "poi", whose role is site-meter; '
            'name a device of role "circuit-meter" or "pdu"'
        ),
    ),
    (
        'role = "site-meter"',
        'role = "check-meter"',
        'site.toml: devices: has no site meter; give one device the role "site-meter" or such a profile',
    ),
    (
        "schneider-pm5340",
        "schneider-pm534",
        (
            'site.toml: devices[0].profile: is "schneider-pm534", no known profile; '
            "did you mean 'schneider-pm5340'?"
        ),
    ),
    (
        "modbus://10.0.0.5:502/1",
        "mqtt:hall/poi",
        (
            "site.toml: devices[0].address: the profile schneider-pm5340 speaks Modbus; "
            "write modbus://HOST:PORT/UNIT"
        ),
    ),
    (
        "modbus://10.0.0.5:502/1",
        "modbus://10.2.0.3/1",
        (
            'site.toml: devices[2].address: "modbus://10.2.0.{1-12}:502/1" for pdu-3 is already taken by '
            "devices[0] of site.toml; give every device its own address"
        ),
    ),
    (
        "10.2.0.{1-12}",
        "10.2.0.{245-256}",
        (
            'site.toml: devices[2].address: makes host "10.2.0.256", no IPv4 address; '
            "write four numbers up to 255"
        ),
    ),
    (
        "10.2.0.{1-12}",
        "10.2.0.{12-1}",
        "site.toml: devices[2].address: {12-1} runs backwards; write {1-12}",
    ),
    (
        "10.1.{0-1}.{1-120}",
        "10.1.{0-1}.{1-119}",
        (
            "site.toml: devices[1].fed_by: counts 240 while address counts 238; "
            "give the ranges of one entry the same length"
        ),
    ),
    (
        "m-{n:05}",
        "m",
        'site.toml: devices[1].id: is "m" for 240 devices; number them: "m-{n:05}"',
    ),
    (
        'id = "poi"',
        'id = "poi-{n}"',
        (
            "site.toml: devices[0].id: 'poi-{n}' has a counter, but nothing in this entry counts; "
            "give another field a range such as {1-240}"
        ),
    ),
    (
        "m-{n:05}",
        "m {n}",
        (
            "site.toml: devices[1].id: makes \"m 1\"; write 1-64 letters, digits, '.', '_' or '-', "
            "the first a letter or digit"
        ),
    ),
    (
        'id = "poi"',
        'id = "pdu-7"',
        (
            'site.toml: devices[2].id: "pdu-{n}" for pdu-7 is already taken by devices[0] of site.toml; '
            "give every device its own id"
        ),
    ),
    (
        'circuit = "hall-1"',
        'circuit = "hall-2"',
        "site.toml: devices[1].circuit: is \"hall-2\", no known circuit; did you mean 'hall-1'?",
    ),
    (
        "pdu-{1-12}/{1-20}",
        "pdu-{2-13}/{1-20}",
        "site.toml: devices[1].fed_by: names \"pdu-13\", no known device; did you mean 'pdu-3'?",
    ),
    (
        "pdu-{1-12}/{1-20}",
        "pdu-1",
        'site.toml: devices[1].fed_by: is "pdu-1"; write PDU-ID/OUTLET, such as "pdu-3/7"',
    ),
    (
        "pdu-{1-12}/{1-20}",
        "poi/1",
        'site.toml: devices[1].fed_by: names "poi", which is no PDU; name a device of role "pdu"',
    ),
    (
        "[keys]\n",
        "[keys\n",
        (
            "site.toml: line 9, column 6: is not TOML: Expected ']' at the end of a table declaration; "
            "mend the syntax there"
        ),
    ),
    (
        "interval_s = 300",
        "interval_s = 300\ninterval_s = 300",
        "site.toml: line 7, column 17: is not TOML: Cannot overwrite a value; mend the syntax there",
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), ONE_MISTAKE)
def test_a_single_mistake_gives_exactly_its_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert old in GOOD

    assert mistakes(write_site(tmp_path, GOOD.replace(old, new, 1))) == [line]


UNKNOWN_KEYS = [
    ("[site]\n", "[site]\nfailsafe_kw = 5\n", "site.failsafe_kw", "failsafe_mw"),
    ("[keys]\n", '[keys]\nsites = "a"\n', "keys.sites", "site"),
    ("[keys]\n", "[economics]\ngpu_per_day = 48\n[keys]\n", "economics.gpu_per_day", "gpu_per_hour"),
    ("[mqtt]\n", '[mqtt]\nuser = "a"\n', "mqtt.user", "username"),
    ("[settlement]\n", '[settlement]\naudiense = "a"\n', "settlement.audiense", "audience"),
    ('{ kid = "exchange-1"', '{ kidd = "a", kid = "exchange-1"', "settlement.keys[0].kidd", "kid"),
    ('kid = "operator-1"\n', 'kid = "operator-1"\nnot_befor = 1\n', "trust.keys[1].not_befor", "not_before"),
    ("max_mw = 12.5\n", "max_mw = 12.5\nparrent = 1\n", "circuits[0].parrent", "parent"),
    ('role = "site-meter"\n', 'role = "site-meter"\nperiods = 1\n', "devices[0].periods", "period_s"),
    ("[site]\n", "[control]\nlease_timeout = 9\n[site]\n", "control.lease_timeout", "lease_timeout_s"),
    ("[site]\n", '[http]\nlisen = "a"\n[site]\n', "http.lisen", "listen"),
]


@pytest.mark.parametrize(("old", "new", "path", "meant"), UNKNOWN_KEYS)
def test_an_unknown_key_is_a_mistake_at_every_level(
    tmp_path: Path, old: str, new: str, path: str, meant: str
) -> None:
    assert old in GOOD

    found = mistakes(write_site(tmp_path, GOOD.replace(old, new, 1)))

    assert found == [f"site.toml: {path}: is not a known key; did you mean '{meant}'?"]


def test_an_unknown_member_of_a_jwk_and_a_private_key_among_the_trusted(tmp_path: Path) -> None:
    secret = inline_jwk(OPERATOR).replace(" }", ', d = "AAAA", zzz = "a" }')

    found = mistakes(write_site(tmp_path, GOOD.replace(inline_jwk(OPERATOR), secret)))

    assert found == [
        (
            "site.toml: trust.keys[1].jwk.d: is a private key; "
            "give the public half, and retire this key: it is no secret now"
        ),
        "site.toml: trust.keys[1].jwk.zzz: is not a known key; write one of: alg, crv, kid, kty, use, x",
    ]


def test_all_mistakes_of_all_tables_come_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace("interval_s = 300", "interval_s = 7")
        .replace("failsafe_mw = 5.0", "failsafe_mw = 26")
        .replace("mqtts://", "mqtt://")
        .replace('"dispatcher"', '"boss"')
        .replace('circuit = "hall-1"', 'circuit = "hall-9"\ntier = "low"')
        .replace("max_mw = 6", "max_mw = 60")
    )

    paths = [line.split(": ")[1] for line in mistakes(write_site(tmp_path, text))]

    assert sorted(paths) == [
        "circuits[1].max_mw",
        "devices[1].circuit",
        "devices[1].tier",
        "mqtt.url",
        "site.failsafe_mw",
        "site.interval_s",
        "trust.keys[0].role",
    ]


def test_a_second_site_meter_is_named_with_the_first(tmp_path: Path) -> None:
    text = (
        GOOD
        + """
[[devices]]
id = "poi-2"
profile = "schneider-pm5340"
address = "modbus://10.0.0.6:502/1"
role = "site-meter"
"""
    )

    assert mistakes(write_site(tmp_path, text)) == [
        (
            "site.toml: devices[3].role: is the second site meter after poi; "
            'keep one "site-meter" and make the others "check-meter"'
        )
    ]


def test_a_circle_of_circuits_is_shown_once(tmp_path: Path) -> None:
    text = GOOD.replace('id = "feeder-1"\n', 'id = "feeder-1"\nparent = "hall-1"\n').replace("= 12.5", "= 6")

    assert mistakes(write_site(tmp_path, text)) == [
        "site.toml: circuits[0].parent: goes in a circle: feeder-1 → hall-1 → feeder-1; take one parent out"
    ]


def test_a_mistake_hides_no_other_and_makes_no_false_ones(tmp_path: Path) -> None:
    # The PDUs' broken range leaves their names unknown: that must not be blamed on what they feed.
    text = GOOD.replace("10.2.0.{1-12}", "10.2.0.{1-x}").replace("schneider-pm5340", "no-such-meter")

    assert [line.split(": ")[1] for line in mistakes(write_site(tmp_path, text))] == [
        "devices[0].profile",
        "devices[2].address",
    ]


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = write_site(tmp_path)
    (tmp_path / "site.jwk").chmod(mode)

    assert mistakes(path) == [
        f"site.toml: keys.site: site.jwk is open to others (mode {mode:04o}); run: chmod 600 site.jwk"
    ]


def test_a_key_file_without_a_private_key_is_refused(tmp_path: Path) -> None:
    path = write_site(tmp_path)
    (tmp_path / "site.jwk").write_text(json.dumps(SITE.public_jwk()), encoding="utf-8")

    (line,) = mistakes(path)

    assert line.startswith("site.toml: keys.site: site.jwk: ")
    assert line.endswith("; make a key with: quotawatt keys new NAME")


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "absent.toml") == [
        "absent.toml: cannot be read: No such file or directory; name a file that this user may read"
    ]


def test_a_file_in_another_encoding_says_which_line(tmp_path: Path) -> None:
    path = write_site(tmp_path)
    path.write_bytes(b"[site]\n# gr\xfc\xdfe\n")

    assert mistakes(path) == ["site.toml: line 2: is not UTF-8; save the file as UTF-8"]


def test_tables_and_lists_of_the_wrong_shape(tmp_path: Path) -> None:
    text = 'site = 3\ncircuits = { a = 1 }\ndevices = ["a"]\ntrust = { key = 1 }\n'

    found = mistakes(write_site(tmp_path, text))

    assert "site.toml: site: is 3; write a table: [site]" in found
    assert "site.toml: circuits: is a table; write a list of tables: [[circuits]]" in found
    assert 'site.toml: devices[0]: is "a"; write a table: [[devices]]' in found
    assert "site.toml: trust.key: is not a known key; write [[trust.keys]] entries" in found


def test_a_load_on_no_circuit_where_there_are_some_is_a_mistake_once_for_its_hall(tmp_path: Path) -> None:
    outside = GOOD.replace('circuit = "hall-1"\n', "", 1)

    assert mistakes(write_site(tmp_path, outside)) == [
        (
            "site.toml: devices[1].circuit: is missing, and there are circuits: this load would count in "
            "none of them; write the id of the circuit that it hangs on"
        )
    ]
    i, j = GOOD.index("[[circuits]]"), GOOD.index("[[devices]]")
    without = (GOOD[:i] + GOOD[j:]).replace('circuit = "hall-1"\n', "").replace('circuit = "feeder-1"\n', "")
    assert load_config(write_site(tmp_path, without), {}).circuits == ()
