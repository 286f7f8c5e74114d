"""Whatever a broken device sends: no crash, no wrong value taken, no right one refused, no neighbour lost.

`make fuzz` runs the same for longer.
"""

from random import Random

import pytest

from tests.world.fleet_fuzz import fuzz_fleet
from tests.world.line_fuzz import FuzzError, fuzz
from tests.world.mutated_answers import (
    MUTATIONS,
    Ask,
    Case,
    Mutation,
    Outcome,
    StrictReader,
    framed,
    pieces,
)

SEED = 20_260_726


def test_twenty_thousand_answers_to_a_line() -> None:
    tally = fuzz(SEED, 20_000)

    # It is no test if nothing gets through, or everything does.
    assert min(tally["answered"], tally["wrong"], tally["exception"], tally["lost"]) > 500


def test_a_fleet_of_which_half_is_broken() -> None:
    tally = fuzz_fleet(SEED, 120)

    assert min(tally["of the broken"], tally["of the well"]) > 100
    assert tally["connections of the broken"] > 4


def test_the_same_seed_is_the_same_run() -> None:
    assert fuzz(7, 300) == fuzz(7, 300)
    assert fuzz(7, 300) != fuzz(8, 300)


def test_what_replays_a_failure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StrictReader, "take", lambda _reader, _data: [])

    with pytest.raises(FuzzError, match=r"^seed 5, case \d+: ."):
        fuzz(5, 300)


ASK = Ask(7, 1, 3, 16, 2, b"")
WRITE = Ask(9, 1, 16, 16, 2, b"\x00\x10\x00\x02")
RIGHT = ASK.answer(b"abcd")


@pytest.mark.parametrize(
    ("data", "outcomes"),
    [
        (RIGHT, [Outcome(7, "answered", b"abcd")]),
        (RIGHT + RIGHT, [Outcome(7, "answered", b"abcd")]),
        (RIGHT[:-1], []),
        (WRITE.answer(b""), [Outcome(9, "answered", b"")]),
        (framed(9, 1, b"\x10\x00\x10\x00\x03"), [Outcome(9, "wrong", b"")]),
        (framed(7, 1, b"\x83\x02"), [Outcome(7, "exception", b"\x02")]),
        (framed(7, 1, b"\x83\x02\x00"), [Outcome(7, "wrong", b"")]),
        (framed(7, 2, b"\x03\x04abcd"), [Outcome(7, "wrong", b"")]),
        (framed(7, 1, b"\x04\x04abcd"), [Outcome(7, "wrong", b"")]),
        (framed(7, 1, b"\x03\x06abcdef"), [Outcome(7, "wrong", b"")]),
        (framed(7, 1, b"\x03\x04abcdef"), [Outcome(7, "wrong", b"")]),
        (framed(0, 1, b"\x03\x04abcd") + RIGHT, [Outcome(7, "answered", b"abcd")]),
    ],
)
def test_the_strict_reader_is_right(data: bytes, outcomes: list[Outcome]) -> None:
    reader = StrictReader({7: ASK, 9: WRITE})

    assert reader.take(data) == outcomes
    assert not reader.lost


@pytest.mark.parametrize("head", [b"\0\7\0\1\0\3", b"\0\7\0\0\0\2", b"\0\7\0\0\0\xff", b"\0\7\0\0\1\3"])
def test_the_strict_reader_knows_what_is_no_frame(head: bytes) -> None:
    reader = StrictReader({7: ASK})

    assert reader.take(head + RIGHT) == []
    assert reader.lost


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_every_way_of_spoiling_spoils(mutation: Mutation) -> None:
    case = Case(Random(1), ASK, RIGHT, [framed(6, 1, b"\x03\x04wxyz")])

    assert any(mutation(case) != RIGHT for _ in range(20))


def test_pieces_are_the_whole() -> None:
    rng = Random(1)
    cut = [pieces(rng, RIGHT) for _ in range(200)]

    assert {b"".join(parts) for parts in cut} == {RIGHT}
    assert {len(parts) for parts in cut} >= {1, 2, 3, len(RIGHT)}
