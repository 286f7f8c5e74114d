"""Paths, words and numbers in the messages of MQTT devices."""

import pytest

from drivers.message_map import FieldPoint, Format, MqttMap, StateTopic
from drivers.mqtt.message import MessageError, point_reader
from drivers.mqtt.paths import parse_path

DEEP = b"[" * 60_000


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("ENERGY.Power", ("ENERGY", "Power")),
        ("switch:0.apower", ("switch:0", "apower")),
        ("PDUData[0].PowerData[13]", ("PDUData", 0, "PowerData", 13)),
        ("a[0][1]", ("a", 0, 1)),
        ('"a.b".c', ("a.b", "c")),
        ('a."b[0]".c', ("a", "b[0]", "c")),
        ("with space", ("with space",)),
    ],
)
def test_a_path_names_members_and_places(text: str, path: tuple[str | int, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text", ["", ".a", "a.", "a..b", "a[-1]", "a[x]", "a[01]", "a[", 'a"b"', '"a', "a[0]b"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(text)


def read(payload: bytes, *points: FieldPoint, topic: StateTopic | None = None) -> dict[str, float | None]:
    shown = MqttMap(points, "{prefix}/s", 1.0)
    return point_reader(shown, topic or shown.topics[0]).read(payload)


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b'{"a": [{"b": 2.5}]}', 2500.0),
        (b'{"a": [{"b": 3}]}', 3000.0),
        (b'{"a": [{"b": null}]}', None),
        (b'{"a": [{}]}', None),
        (b'{"a": []}', None),
        (b'{"a": {"b": 1}}', None),
        (b'{"a": "text"}', None),
        (b"{}", None),
    ],
)
def test_a_value_is_found_or_absent(payload: bytes, value: float | None) -> None:
    assert read(payload, FieldPoint("p", "a[0].b", 1000.0)) == {"p": value}


WRONG = {
    "text": b'{"a": "1"}',
    "truth": b'{"a": true}',
    "object": b'{"a": {}}',
    "array": b'{"a": [1]}',
    "NaN": b'{"a": NaN}',
    "NaN where nobody looks": b'{"a": 1, "b": NaN}',
    "infinity": b'{"a": 1e999}',
    "an integer that no float holds": b'{"a": 1' + b"0" * 400 + b"}",
    "a name that is there twice": b'{"a": 1, "a": 2}',
    "a name that is there twice further in": b'{"a": 1, "b": {"c": 1, "c": 1}}',
    "two messages": b'{"a": 1}{"a": 1}',
    "not UTF-8": b'{"a": "\xff"}',
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "depth": b'{"a": ' + DEEP,
    "length": b'{"a": 1}' + b" " * 70_000,
}


@pytest.mark.parametrize("payload", WRONG.values(), ids=WRONG)
def test_a_wrong_message_is_no_message(payload: bytes) -> None:
    with pytest.raises(MessageError):
        read(payload, FieldPoint("p", "a"))


@pytest.mark.parametrize(
    ("payload", "value"),
    [(b'{"a": "100.5"}', 100.5), (b'{"a": "-3e2"}', -300.0), (b'{"a": 7}', 7.0), (b'{"a": null}', None)],
)
def test_a_number_may_be_written_as_text(payload: bytes, value: float | None) -> None:
    assert read(payload, FieldPoint("p", "a", text=True)) == {"p": value}


@pytest.mark.parametrize("text", ["", " 1", "1_000", "nan", "inf", "0x10", "1,5", "1.5 kW", "١"])
def test_a_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(MessageError, match="is no number"):
        read(f'{{"a": "{text}"}}'.encode(), FieldPoint("p", "a", text=True))


def test_words_stand_for_values_and_no_other_word_does() -> None:
    switch = FieldPoint("setpoint", "POWER", words={"ON": 3500.0, "OFF": 0.0, "true": 1.0})
    assert read(b'{"POWER": "ON"}', switch) == {"setpoint": 3500.0}
    assert read(b'{"POWER": "OFF"}', switch) == {"setpoint": 0.0}
    assert read(b'{"POWER": true}', switch) == {"setpoint": 1.0}
    for wrong in (b'"on"', b"false", b"1", b"{}", b"[]"):
        with pytest.raises(MessageError, match="is none of ON, OFF, true"):
            read(b'{"POWER": ' + wrong + b"}", switch)


def test_a_plain_message_is_one_value() -> None:
    topic = StateTopic("state", "{prefix}/power", 1.0, Format.PLAIN)
    point, word = FieldPoint("p", "", 1000.0), FieldPoint("p", "", words={"on": 1.0})
    assert read(b"2.5", point, topic=topic) == {"p": 2500.0}
    assert read(b"2.5\n", point, topic=topic) == {"p": 2500.0}
    assert read(b"on", word, topic=topic) == {"p": 1.0}
    for wrong in (b"", b"on", b"nan", b"\xff", b"{}"):
        with pytest.raises(MessageError):
            read(wrong, point, topic=topic)


def test_what_an_event_leaves_out_is_as_before() -> None:
    event = StateTopic("result", "{prefix}/RESULT", None)
    points = (FieldPoint("a", "a", topic="result"), FieldPoint("b", "b", topic="result"))
    assert read(b'{"b": 1}', *points, topic=event) == {"b": 1.0}
    assert read(b'{"b": null}', *points, topic=event) == {"b": None}
