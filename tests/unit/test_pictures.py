"""Pictures of a course: what the daemon's samples say, drawn into a file."""

import math
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from sim_devices.picture import PictureError, StateSpan, check_picture, course_of_cycles, draw

BEGIN_S = 1_700_000_000
ROWS = [
    (BEGIN_S - 5, 9_000_000, 8.0e6, 8.0e6, "init"),
    (BEGIN_S, 2_000_000, 1.9e6, 1.95e6, "limited"),
    (BEGIN_S + 1, 2_000_000, None, None, "limited"),
    (BEGIN_S + 2, 500_000, 0.4e6, 0.45e6, "failsafe"),
    (BEGIN_S + 3, 500_000, 0.4e6, 0.45e6, "failsafe"),
]


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A samples database as the daemon's own migration makes it."""
    file = tmp_path / "samples.db"
    script = (resources.files("daemon.samples.migrations") / "0001_initial.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(file)) as database:
        database.executescript(script)
        database.executemany("INSERT INTO cycles VALUES (?, ?, ?, ?, ?)", ROWS)
        database.commit()
    return file


def test_a_course_begins_where_it_is_told_and_absent_is_not_zero(samples: Path) -> None:
    course = course_of_cycles(
        samples,
        "a site",
        BEGIN_S,
        true_w=[(BEGIN_S - 1, 1.0), (BEGIN_S + 2, 5.0)],
        marks=[(BEGIN_S - 1, "before"), (BEGIN_S + 2, "lease lost")],
    )
    assert list(course.at_s) == [0, 1, 2, 3]
    assert list(course.limit_w) == [2e6, 2e6, 5e5, 5e5]
    assert course.metered_w[0] == 1.9e6
    assert math.isnan(course.metered_w[1])
    assert math.isnan(course.expected_w[1])
    assert course.states == [StateSpan("limited", 0, 2), StateSpan("failsafe", 2, 3)]
    assert course.true_w == [(2, 5.0)]
    assert course.marks == [(2, "lease lost")]


def test_a_picture_holds_what_it_is_of(samples: Path, tmp_path: Path) -> None:
    course = course_of_cycles(samples, "a site", BEGIN_S, marks=[(BEGIN_S + 2, "lease lost")])
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    draw(course, svg)
    draw(course, png)
    text = svg.read_text(encoding="utf-8")
    for words in ("a site", "limit in force", "metered", "expected", "failsafe", "limited", "lease lost"):
        assert f">{words}<" in text
    assert png.read_bytes().startswith(b"\x89PNG")


def test_the_same_course_gives_the_same_file(samples: Path, tmp_path: Path) -> None:
    course = course_of_cycles(samples, "a site", BEGIN_S)
    for name in ("a.svg", "b.svg"):
        draw(course, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(
    ("name", "says"),
    [("course.pdf", r"must end in \.png or \.svg"), ("course", "must end"), ("no/such/a.svg", "no folder")],
)
def test_what_keeps_a_picture_from_being_drawn_is_said_beforehand(
    tmp_path: Path, name: str, says: str
) -> None:
    with pytest.raises(PictureError, match=says):
        check_picture(tmp_path / name)
