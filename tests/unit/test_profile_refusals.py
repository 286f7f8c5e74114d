"""A profile with an impossible field is refused when it is read, with file and key."""

import pytest

from drivers.errors import ProfileError
from drivers.modbus.codec import decode_words, encode_value
from drivers.profile import ModbusMap
from drivers.profiles import parse_profile
from tests.world.profile_texts import IDENTITY, ORDERS
from tests.world.profile_texts import METER as CIRCUIT_METER

METER = (
    CIRCUIT_METER.partition("[[points]]")[0].replace('"circuit-meter"', '"site-meter"')
    + """\
max_span = 20
barriers = [40]
[[points]]
name = "power"
address = 0
type = "u32"
"""
)
LOAD = METER.replace('"site-meter"', '"load"').replace(
    "nameplate_w = 0", "nameplate_w = 1000"
) + ORDERS.replace("address = 20", "address = 8")

NUMBERED = METER.replace("max_span = 20", "max_span = 20\naddress_base = 1\nreadable = [[1, 30]]").replace(
    "address = 0", "address = 1"
)
TEXT = METER + '[[texts]]\nname = "name"\naddress = 9\nwords = 2\n'
CHECKED = METER + IDENTITY.replace("[7, 8]", "[7]").replace("address = 1", "address = 2")
ORDERED_TEXT = LOAD + '[[texts]]\nname = "name"\naddress = 10\nwords = 2\n'
READ_BACK = LOAD + '[[points]]\nname = "setpoint"\naddress = 8\ntype = "u16"\n'
WIDE_READ_BACK = READ_BACK.replace('"u16"', '"u32"')
SWAPPED = 'name = "setpoint"\nword_order = "little"'
MIDDLE = LOAD.replace(
    '[[operating_points]]\nname = "full"',
    '[[operating_points]]\nname = "half"\nwatts = 700\nvalue = 0.5\n[[operating_points]]\nname = "full"',
)

PDU = (
    METER.replace('"site-meter"', '"pdu"')
    + """\
[outlets]
first = { address = 200, type = "u16" }
count = 20
on_value = 1
off_value = 0
"""
)
REVERTING = LOAD.replace(
    "hard_off = true",
    """hard_off = true
[setpoint.reversion]
limit = { address = 20, type = "u16" }
timer = { address = 21, type = "u16" }
after_s = 60
""",
)
GPU = LOAD.replace('"hash"', '"gpu"').replace("hard_off = true", "hard_off = false")

REFUSED = [
    # --- outlets, reversion, budgets ----------------------------------------------------------------------
    ("outlets of a meter", PDU, '"pdu"', '"circuit-meter"', r"outlets: a circuit-meter has none"),
    ("a switch that is no integer", PDU, '"u16" }', '"f32" }', r"outlets\.first\.type: "),
    ("on and off alike", PDU, "off_value = 0", "off_value = 1", r"outlets\.off_value: is the same"),
    ("a value too wide", PDU, "on_value = 1", "on_value = 65536", r"outlets\.on_value: raw value 65536"),
    ("switches that overlap", PDU, '"u16" }', '"u32" }', r"outlets\.stride: a switch takes 2"),
    ("outlets beyond the last register", PDU, "200", "65530", r"outlets\.count: .* would be 65549"),
    ("no outlets", PDU, "count = 20", "count = 0", r"outlets\.count: "),
    ("a rack that may be cut off", GPU, "hard_off = false", "hard_off = true", r"setpoint\.hard_off: a GPU"),
    (
        "a reversion that wears out flash",
        REVERTING,
        "persistent = false",
        "persistent = true",
        r"setpoint\.reversion: is fed for ever",
    ),
    (
        "a reversion that restarts",
        REVERTING,
        "restarts_on_write = false",
        "restarts_on_write = true",
        r"setpoint\.reversion: is fed for ever",
    ),
    (
        "a budget that its timer eats up",
        REVERTING,
        "persistent = false",
        "persistent = false\nwrites_per_day = 4320",
        r"setpoint\.writes_per_day: 4320 leave none .* 60 s is fed 4320 times",
    ),
    (
        "a timer on the limit",
        REVERTING,
        "address = 21",
        "address = 20",
        r"timer\.address: overlaps reversion",
    ),
    ("a limit on the order", REVERTING, "address = 20", "address = 8", r"limit\.address: overlaps point"),
    (
        "a timer that ends at once",
        REVERTING,
        "after_s = 60",
        "after_s = 5",
        r"setpoint\.reversion\.after_s: ",
    ),
    ("a time too long for it", REVERTING, "after_s = 60", "after_s = 70000", r"timer: 70000 does not fit"),
    (
        "a budget of nothing",
        LOAD,
        "persistent = false",
        "persistent = true\nwrites_per_day = 0",
        r"setpoint\.writes_per_day: ",
    ),
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
    ("outside what can be read", METER, "max_span = 20", "readable = [[2, 9]]", "0 to 1 do not lie in one"),
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
    # --- ranges -----------------------------------------------------------------------------------
    (
        "across a readable range",
        METER,
        "max_span = 20",
        "readable = [[0, 0], [1, 9]]",
        "0 to 1 do not lie in one",
    ),
    (
        "range backwards",
        METER,
        "max_span = 20",
        "readable = [[0, 9], [9, 5]]",
        r"modbus\.readable\.1: ends at 5",
    ),
    (
        "range 0 of numbers",
        NUMBERED,
        "[[1, 30]]",
        "[[0, 30]]",
        r"modbus\.readable\.0: register numbers begin",
    ),
    ("barrier 0 of numbers", NUMBERED, "[40]", "[0]", r"modbus\.barriers\.0: register numbers begin"),
    ("text wider than the span", TEXT, "words = 2", "words = 21", r"texts\.0\.words: takes 21"),
    (
        "text over a value",
        TEXT,
        "address = 9",
        "address = 1",
        r"texts\.0\.address: register 1 is already 'power'",
    ),
    # --- identity that no device has, or every one ------------------------------------------------------
    ("value beyond the type", CHECKED, "[7]", "[65536]", r"identity\.0\.values\.0: model never shows 65536"),
    (
        "value between raw steps",
        CHECKED,
        "[7]",
        "[7, 7.5]",
        r"identity\.0\.values\.1: model never shows 7\.5",
    ),
    ("value of another sign", CHECKED, "[7]", "[-7]", r"identity\.0\.values\.0: model never shows -7"),
    ("empty text", CHECKED, '"ACME"', '""', r"identity\.1\.texts\.0: is empty"),
    (
        "text longer than its registers",
        CHECKED,
        '"ACME"',
        '"ACME 1"',
        r"identity\.1\.texts\.0: 2 registers never",
    ),
    ("text beyond ASCII", CHECKED, '"ACME"', '"ÄC"', r"identity\.1\.texts\.0: 2 registers never"),
    (
        "window upside down",
        CHECKED,
        "values = [7]",
        "minimum = 7\nmaximum = 6",
        r"identity\.0\.minimum: above",
    ),
    # --- what is ordered ------------------------------------------------------------------------------
    (
        "set-point over a text",
        ORDERED_TEXT,
        "{ address = 8,",
        "{ address = 10,",
        r"overlaps texts\.0 \(name\)",
    ),
    (
        "read back upside down",
        READ_BACK,
        'name = "setpoint"',
        'name = "setpoint"\nsign = "export"',
        "overlaps points",
    ),
    (
        "read back in another scale",
        READ_BACK,
        'name = "setpoint"',
        'name = "setpoint"\nscale = 10',
        "overlaps points",
    ),
    ("read back in another order", WIDE_READ_BACK, 'name = "setpoint"', SWAPPED, "overlaps points"),
    ("step of nothing", LOAD, "step_w = 10", "step_w = 1e-9", r"setpoint\.step_w: .* not a whole number"),
    ("step beyond the ceiling", LOAD, "step_w = 10", "step_w = 501", r"setpoint\.step_w: is more than"),
    (
        "point between steps",
        MIDDLE,
        "watts = 700",
        "watts = 705",
        r"operating_points\.1\.watts: is not floor_w",
    ),
    (
        "two points of a name",
        MIDDLE,
        'name = "half"',
        'name = "sleep"',
        r"operating_points\.1\.name: 'sleep'",
    ),
    (
        "point above the ceiling",
        LOAD,
        "watts = 1000\n",
        "watts = 1001\n",
        r"operating_points\.1\.watts: outside",
    ),
    ("floor below sleep", LOAD, "floor_w = 500", "floor_w = 5", "sleep_w <= floor_w <= ceiling_w"),
    # --- what is no number, or none that a device has ---------------------------------------------------
    ("true for an address", METER, "address = 0", "address = true", r"points\.0\.address: "),
    ("a text for a number", METER, "nameplate_w = 0", 'nameplate_w = "0"', r"nameplate_w: "),
    ("1 for true", LOAD, "hard_off = true", "hard_off = 1", r"setpoint\.hard_off: "),
    ("half an address", METER, "address = 0", "address = 0.5", r"points\.0\.address: "),
    ("an address below 0", METER, "address = 0", "address = -1", r"points\.0\.address: "),
    ("a date", METER, "period_s = 1.0", "period_s = 2026-07-01", r"period_s: "),
    ("infinity", METER, "period_s = 1.0", "period_s = inf", r"period_s: "),
    ("no number", METER, "nameplate_w = 0", "nameplate_w = nan", r"nameplate_w: "),
    ("a slip of the exponent", METER, 'type = "u32"', 'type = "u32"\nscale = 1e12', r"points\.0\.scale: "),
    ("a period of a day", METER, "period_s = 1.0", "period_s = 86400", r"period_s: "),
    ("a source without a name", METER, 'sources = ["s"]', 'sources = [""]', r"sources\.0: "),
    ("another function", METER, "function = 3", "function = 6", r"modbus\.function: "),
]


@pytest.mark.parametrize(
    ("text", "old", "new", "message"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_a_wrong_profile_is_refused_with_file_and_key(text: str, old: str, new: str, message: str) -> None:
    assert old in text
    parse_profile("t", text, "t.toml")
    with pytest.raises(ProfileError, match=message):
        parse_profile("t", text.replace(old, new, 1), "t.toml")


def test_a_ceiling_need_not_be_a_step_for_no_limit_is_told_there() -> None:
    profile = parse_profile("t", LOAD.replace("= 1000\n", "= 1005\n"), "t.toml")

    assert profile.setpoint is not None
    assert profile.setpoint.ceiling_w == profile.operating_points[-1].watts == 1005


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


def test_an_order_that_wears_something_out_has_a_budget_even_if_nobody_states_one() -> None:
    def budget(text: str) -> float | None:
        setpoint = parse_profile("t", text, "t.toml").setpoint
        assert setpoint is not None
        return setpoint.writes_per_day

    assert budget(LOAD) is None
    assert budget(LOAD.replace("persistent = false", "persistent = true")) == 100
    assert budget(LOAD.replace("restarts_on_write = false", "restarts_on_write = true")) == 100
    assert budget(LOAD.replace("persistent = false", "persistent = true\nwrites_per_day = 24")) == 24


def test_an_outlet_has_its_register_and_a_reversion_its_two() -> None:
    outlets = parse_profile("t", PDU.replace("count = 20", "count = 20\nstride = 3"), "t.toml").outlets
    assert outlets is not None
    assert [outlets.point(number).address for number in (1, 2, 20)] == [200, 203, 257]
    setpoint = parse_profile("t", REVERTING, "t.toml").setpoint
    assert setpoint is not None
    reversion = setpoint.reversion
    assert reversion is not None
    assert reversion.timer is not None
    assert reversion.limit is not None
    assert (reversion.limit.address, reversion.timer.address, reversion.after_s) == (20, 21, 60)
