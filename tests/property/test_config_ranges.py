"""Ranges: how many devices an entry makes, and which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.ranges import MOST_DEVICES, RangeError, expand

bounds = st.tuples(st.integers(0, 400), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(bounds, min_size=1, max_size=3), st.integers(1, 9))
def test_every_combination_comes_once_in_order_and_is_numbered(
    ranges: list[tuple[int, int]], width: int
) -> None:
    pattern = ".".join(f"{{{first}-{last}}}" for first, last in ranges)

    rows = expand({"id": f"m-{{n:0{width}}}", "address": f"host-{pattern}/1", "profile": "p"})

    expected = 1
    for first, last in ranges:
        expected *= last - first + 1
    values = [
        tuple(map(int, row["address"].removeprefix("host-").removesuffix("/1").split("."))) for row in rows
    ]
    assert len(rows) == expected
    assert values == sorted(set(values))
    assert values[0] == tuple(first for first, _ in ranges)
    assert values[-1] == tuple(last for _, last in ranges)
    assert [row["id"] for row in rows] == [f"m-{str(n).rjust(width, '0')}" for n in range(1, expected + 1)]
    assert {row["profile"] for row in rows} == {"p"}


@given(bounds, bounds)
def test_fields_that_count_differently_are_refused(one: tuple[int, int], other: tuple[int, int]) -> None:
    fields = {"id": f"a{{{one[0]}-{one[1]}}}", "address": f"b{{{other[0]}-{other[1]}}}"}

    if one[1] - one[0] == other[1] - other[0]:
        assert len(expand(fields)) == one[1] - one[0] + 1
    else:
        with pytest.raises(RangeError) as caught:
            expand(fields)
        assert caught.value.field == "address"


@given(st.text(alphabet="ab{}0123456789-n:", max_size=14))
def test_any_text_is_expanded_or_refused_with_advice(text: str) -> None:
    advice: list[tuple[str, str]] = []
    try:
        rows = expand({"address": text})
    except RangeError as error:
        advice.append((error.what, error.right))
    else:
        assert 1 <= len(rows) <= MOST_DEVICES
        assert not any("{" in row["address"] or "}" in row["address"] for row in rows)
    assert all(what and right for what, right in advice)


def test_leading_zeros_are_kept() -> None:
    assert [row["id"] for row in expand({"id": "r{08-11}"})] == ["r08", "r09", "r10", "r11"]


def test_an_entry_without_braces_is_one_device() -> None:
    assert expand({"id": "poi", "address": "modbus://10.0.0.5/1"}) == [
        {"id": "poi", "address": "modbus://10.0.0.5/1"}
    ]


def test_a_slip_of_the_finger_does_not_eat_the_memory() -> None:
    with pytest.raises(RangeError, match="counts 100000000000 devices"):
        expand({"address": "{1-100000}{1-1000000}"})
