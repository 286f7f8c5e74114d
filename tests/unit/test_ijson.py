"""I-JSON: every doubtful spelling is refused."""

import time

import pytest

from daemon.signing import MalformedError, dumps, loads


def test_what_is_written_is_read() -> None:
    value = {"a": [1, -1, 0, 2**53 - 1, -(2**53) + 1, None, True, "ü\U0001f600"], "b": {"c": {}}}
    assert loads(dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"a":1,"a":1}', id="a name twice"),
        pytest.param(b'[{"x":{"a":1,"\\u0061":2}}]', id="a name twice, spelt differently, deep"),
        pytest.param(b"[1.0]", id="a fraction"),
        pytest.param(b"[1e3]", id="an exponent"),
        pytest.param(b"[-0]", id="minus zero"),
        pytest.param(b"[01]", id="a leading zero"),
        pytest.param(b"[9007199254740992]", id="2**53"),
        pytest.param(b"[-9007199254740992]", id="-2**53"),
        pytest.param(b"[" + b"9" * 5000 + b"]", id="five thousand digits"),
        pytest.param(b"[NaN]", id="NaN"),
        pytest.param(b"[-Infinity]", id="infinity"),
        pytest.param(b'{"a":"\\ud800"}', id="a lone surrogate"),
        pytest.param(b'{"\\ud800":1}', id="a lone surrogate in a name"),
        pytest.param(b'{"a":["\\uffff"]}', id="a noncharacter"),
        pytest.param(b'"\\ufdd0"', id="a noncharacter alone"),
        pytest.param(b'["\\ud800"]', id="a lone surrogate in a list alone"),
        pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"[" * 17 + b"]" * 17, id="too deep"),
        pytest.param(b"[" * 100_000, id="far too deep"),
        pytest.param(b'{"a":' * 100_000, id="far too deep, objects"),
    ],
)
def test_refused(text: bytes) -> None:
    with pytest.raises(MalformedError):
        loads(text)


def test_brackets_in_strings_are_not_depth() -> None:
    assert loads(b'{"a":"' + b"[" * 100 + b'\\"{"}') == {"a": "[" * 100 + '"{'}


def test_a_hostile_text_costs_time_in_proportion_to_its_length() -> None:
    started = time.process_time()
    with pytest.raises(MalformedError):
        loads(b'\\"' * 128 * 1024)
    assert time.process_time() - started < 1.0
