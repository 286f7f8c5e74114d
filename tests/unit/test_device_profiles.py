"""Every shipped profile loads and round-trips; a wrong one is refused with file and key."""

import math
from itertools import pairwise

import pytest

from drivers.errors import ProfileError
from drivers.modbus.codec import decode_words, encode_value
from drivers.profile import ModbusMap, MqttMap, Profile, RegisterPoint, WordType
from drivers.profiles import load_profile, parse_profile, profile_names
from drivers.quantity import Quantity

PROFILES = [load_profile(name) for name in profile_names()]
REGISTERS = [
    pytest.param(point, id=f"{profile.name}-{point.name}")
    for profile in PROFILES
    if isinstance(profile.map, ModbusMap)
    for point in profile.map.points
]


MINERS = {
    "sim-miner": (200, 3500),
    "sim-miner-s19j-pro": (100, 3050),
    "sim-miner-s19-xp": (140, 3010),
    "sim-miner-s21-pro": (234, 3510),
    "sim-miner-s21-xp": (270, 3645),
    "sim-miner-s21-xp-hyd": (473, 5676),
    "sim-miner-t21": (190, 3610),
    "sim-miner-m50s": (126, 3276),
    "sim-miner-m50s-restarting": (126, 3276),
    "sim-miner-m60s": (186, 3430),
    "sim-miner-m63s": (390, 7200),
    "sim-miner-m66s": (298, 5500),
    "sim-miner-a1566": (185, 3500),
    "sim-miner-a16-xp": (300, 3850),
    "sim-miner-ah3880": (600, 8700),
}
"""TH/s and W at full power, as their vendors state them."""


def test_ships_what_the_simulated_plant_and_the_first_real_meter_need() -> None:
    assert set(profile_names()) >= {
        *MINERS,
        "sim-pdu",
        "sim-meter",
        "sim-cooling",
        "sim-gpu-rack",
        "schneider-pm5340",
    }


@pytest.mark.parametrize("name", MINERS)
def test_a_simulated_miner_has_the_figures_of_its_model(name: str) -> None:
    miner = load_profile(name)
    assert (miner.output_full, miner.nameplate_w) == MINERS[name]
    assert miner.setpoint is not None
    assert miner.setpoint.ceiling_w == miner.nameplate_w
    assert 0 < miner.setpoint.sleep_w < miner.setpoint.floor_w < miner.nameplate_w
    # Worse than proportional below full power, or nobody would run it there; better per watt.
    for point in miner.operating_points[1:-1]:
        assert point.watts / miner.nameplate_w < point.value < 1


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_profile_says_how_far_it_is_founded_and_measures_power(profile: Profile) -> None:
    assert profile.sources
    assert profile.trust
    assert Quantity.POWER in {point.quantity for point in profile.map.points}
    for lower, higher in pairwise(profile.operating_points):
        assert lower.watts < higher.watts


@pytest.mark.parametrize("point", REGISTERS)
def test_every_register_point_reads_back_what_was_written(point: RegisterPoint) -> None:
    for raw in {0, 1, 50, 12_345, 0x7FFE} - {point.sentinel}:
        value = raw * point.scale
        decoded = decode_words(point, encode_value(point, value))
        assert decoded is not None
        assert math.isclose(decoded, value, rel_tol=1e-6, abs_tol=1e-9)


@pytest.mark.parametrize("point", REGISTERS)
def test_every_register_point_with_a_sentinel_reads_absent_not_a_number(point: RegisterPoint) -> None:
    if point.sentinel is None and point.type not in {WordType.F32, WordType.F64}:
        with pytest.raises(ValueError, match="cannot say 'not available'"):
            encode_value(point, None)
    else:
        assert decode_words(point, encode_value(point, None)) is None


def test_the_meter_in_kilowatts_is_read_in_watts() -> None:
    profile = load_profile("schneider-pm5340")
    assert isinstance(profile.map, ModbusMap)
    power, _, energy, *_ = profile.map.points
    # Register numbers 3060 and 3204; 1234.5 kW is 0x449A5000 as float32.
    assert (power.address, energy.address) == (3059, 3203)
    assert decode_words(power, (0x449A, 0x5000)) == 1_234_500.0
    assert decode_words(power, (0xFFC0, 0x0000)) is None
    assert decode_words(energy, (0, 0, 0x0001, 0x0002)) == 65_538.0


def test_the_gpu_rack_pauses_but_is_never_switched_off() -> None:
    rack = load_profile("sim-gpu-rack")
    assert isinstance(rack.map, MqttMap)
    assert rack.setpoint is not None
    assert rack.setpoint.hard_off is False
    assert rack.setpoint.sleep_w > 1_000


def test_an_unknown_profile_offers_what_was_probably_meant() -> None:
    with pytest.raises(ProfileError, match="did you mean sim-meter"):
        load_profile("sim-metre")


METER = """
title = "T"
role = "site-meter"
trust = "simulated"
sources = ["s"]
nameplate_w = 0
period_s = 1.0
[modbus]
function = 3
word_order = "big"
max_span = 20
barriers = [40]
[[points]]
name = "power"
address = 0
type = "u32"
"""
LOAD = (
    METER.replace('"site-meter"', '"load"').replace("nameplate_w = 0", "nameplate_w = 1000")
    + """
[output]
kind = "hash"
full = 100
[setpoint]
point = { address = 8, type = "u16" }
sleep_value = 0
no_limit_value = 0xFFFF
sleep_w = 10
floor_w = 500
ceiling_w = 1000
step_w = 10
latency_down_s = 1
latency_up_s = 1
settle_s = 1
min_off_s = 0
restarts_on_write = false
persistent = false
hard_off = true
[[operating_points]]
name = "sleep"
watts = 10
value = 0
[[operating_points]]
name = "full"
watts = 1000
value = 1
"""
)

REFUSED = [
    ("unknown key", METER, "period_s = 1.0", "perod_s = 1.0", r"t\.toml: perod_s: "),
    ("unknown key in a point", METER, 'type = "u32"', 'type = "u32"\ncolour = "red"', r"points\.0\.colour: "),
    ("unknown type", METER, '"u32"', '"u24"', r"points\.0\.type: "),
    ("not TOML", METER, "[modbus]", "[modbus", r"t\.toml: not TOML"),
    ("span beyond 125", METER, "max_span = 20", "max_span = 126", r"modbus\.max_span: "),
    ("value wider than the span", METER, "max_span = 20", "max_span = 1", r"points\.0\.type: takes 2"),
    ("value torn by a barrier", METER, "address = 0", "address = 39", r"points\.0\.address: the barrier"),
    ("beyond the last register", METER, "address = 0", "address = 65535", r"end beyond 65535"),
    ("sentinel too wide", METER, 'type = "u32"', 'type = "u32"\nsentinel = 0x100000000', "does not fit"),
    ("scale 0", METER, 'type = "u32"', 'type = "u32"\nscale = 0', r"points\.0\.scale: "),
    (
        "both transports",
        METER,
        "[modbus]",
        '[mqtt]\nstate_topic="{prefix}/s"\nperiod_s=1\n[modbus]',
        "exactly one",
    ),
    ("field in a register map", METER, 'type = "u32"', 'type = "u32"\nfield = "p"', "and no field"),
    (
        "identity of nothing",
        METER,
        "[[points]]",
        '[[identity]]\npoint = "x"\nvalues = [1]\n[[points]]',
        "'x'",
    ),
    (
        "identity without a condition",
        METER,
        "[[points]]",
        '[[identity]]\npoint = "power"\n[[points]]',
        r"identity\.0: a point is checked either by values or",
    ),
    (
        "vector of another length",
        METER,
        "[[points]]",
        '[[vectors]]\npoint="power"\nwords=[1]\nvalue=1\norigin="derived"\nsource="s"\n[[points]]',
        r"vectors\.0\.words: power has 2 registers, not 1",
    ),
    (
        "vector with two meanings",
        METER,
        "[[points]]",
        '[[vectors]]\npoint="power"\nwords=[1,1]\nvalue=1\nabsent=true\norigin="derived"\nsource="s"\n[[points]]',
        r"vectors\.0: .*exactly one",
    ),
    ("unit with a prefix", METER, 'type = "u32"', 'type = "u32"\nunit = "kW"', r"points\.0\.unit: "),
    ("another unit", METER, 'type = "u32"', 'type = "u32"\nunit = "V"', "power is always in 'W'"),
    ("scaled by nothing", METER, 'type = "u32"', 'type = "u32"\ntimes = "x"', r"points\.0\.times: 'x'"),
    ("scaled by itself", METER, 'type = "u32"', 'type = "u32"\nplus = "power"', r"points\.0\.plus: 'power'"),
    ("number 0", METER, "max_span = 20", "address_base = 1", "register numbers begin at 1"),
    ("outside what can be read", METER, "max_span = 20", "readable = [[2, 9]]", "no read that"),
    ("too wide for a multiple", METER, "max_span = 20", "max_span = 2\nlength_multiple = 4", "no read that"),
    (
        "text named as a point",
        METER,
        "[[points]]",
        '[[texts]]\nname = "power"\naddress = 9\nwords = 2\n[[points]]',
        r"texts\.0\.name: 'power' is there twice",
    ),
    ("load without output", LOAD, '[output]\nkind = "hash"\nfull = 100\n', "", "output: "),
    ("meter with a set-point", LOAD, '"load"', '"site-meter"', "is never told to draw less"),
    ("set-point too wide", LOAD, "ceiling_w = 1000", "ceiling_w = 70000", "ceiling_w: raw value 70000"),
    ("floor above the ceiling", LOAD, "floor_w = 500", "floor_w = 1500", "sleep_w <= floor_w <= ceiling_w"),
    ("step between raw values", LOAD, "step_w = 10", "step_w = 10.5", r"setpoint\.step_w: "),
    ("sleep is no limit", LOAD, "sleep_value = 0", "sleep_value = 0xFFFF", "is the same as sleep_value"),
    ("sleep is a target", LOAD, "sleep_value = 0", "sleep_value = 600", "600 is also a power target"),
    ("set-point overlaps a value", LOAD, "{ address = 8,", "{ address = 1,", "overlaps points.0"),
    ("descending operating points", LOAD, "watts = 10\n", "watts = 1000\n", "watts must rise"),
]


@pytest.mark.parametrize(
    ("text", "old", "new", "message"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_a_wrong_profile_is_refused_with_file_and_key(text: str, old: str, new: str, message: str) -> None:
    assert old in text
    parse_profile("t", text, "t.toml")
    with pytest.raises(ProfileError, match=message):
        parse_profile("t", text.replace(old, new, 1), "t.toml")


def test_overlapping_words_and_a_name_used_twice_are_both_named_at_once() -> None:
    text = METER + '[[points]]\nname = "power"\naddress = 1\ntype = "u16"\n'
    other = METER + '[[points]]\nname = "frequency"\naddress = 1\ntype = "u16"\n'
    with pytest.raises(ProfileError, match="is there twice"):
        parse_profile("t", text, "t.toml")
    with pytest.raises(ProfileError, match=r"points\.1\.address: register 1 is already 'power'"):
        parse_profile("t", other, "t.toml")


def test_what_a_device_counts_as_export_is_import_with_a_minus() -> None:
    profile = parse_profile("t", METER.replace('type = "u32"', 'type = "s16"\nsign = "export"'), "t.toml")
    assert isinstance(profile.map, ModbusMap)
    (power,) = profile.map.points
    assert decode_words(power, (1000,)) == -1000.0
    assert encode_value(power, -1000.0) == (1000,)


def test_register_numbers_become_wire_addresses_everywhere() -> None:
    text = LOAD.replace("max_span = 20", "max_span = 20\naddress_base = 1\nreadable = [[1, 30]]")
    text = text.replace("address = 0", "address = 1").replace("{ address = 8,", "{ address = 9,")
    profile, wire = parse_profile("t", text, "t.toml"), parse_profile("t", LOAD, "t.toml")
    assert isinstance(profile.map, ModbusMap)
    assert isinstance(wire.map, ModbusMap)
    assert profile.map.points == wire.map.points
    assert profile.setpoint == wire.setpoint
    assert (profile.map.reads.readable, profile.map.reads.barriers) == (((0, 29),), (39,))
