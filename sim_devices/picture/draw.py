"""Draws a course into a file. matplotlib is an extra: it is loaded when there is something to draw."""

import importlib
from pathlib import Path
from typing import Any

from sim_devices.picture.course import Course

FORMATS = (".png", ".svg")
_SIZE_INCHES = (11.0, 5.6)
_STATE_COLOURS = {
    "init": "#b0b0b0",
    "controlled": "#7fbf7f",
    "limited": "#f2c14e",
    "failsafe": "#d1495b",
}


class PictureError(Exception):
    """The picture cannot be drawn: what is missing, and what would cure it."""


def check_picture(file: Path) -> None:
    """Say before a long run what would keep the picture from being drawn after it.

    Raises:
        PictureError: an ending that is not known, no such folder, or matplotlib is not installed.
    """
    if file.suffix not in FORMATS:
        raise PictureError(f"{file}: the name must end in {' or '.join(FORMATS)}")
    if not file.parent.is_dir():
        raise PictureError(f"{file}: there is no folder {file.parent}")
    _matplotlib("")


def draw(course: Course, file: Path) -> None:
    """Limit, metered, expected and true power over time, and the states below them.

    Raises:
        PictureError: as `check_picture`.
        OSError: the file cannot be written.
    """
    check_picture(file)
    figure = _matplotlib(".figure").Figure(figsize=_SIZE_INCHES, layout="constrained")
    power, states = figure.subplots(2, 1, sharex=True, height_ratios=(12, 1))
    _draw_power(power, course)
    _draw_states(states, course)
    # Text stays text in an SVG, and the same course gives the same file.
    with _matplotlib("").rc_context({"svg.fonttype": "none", "svg.hashsalt": course.title}):
        figure.savefig(file, dpi=110, metadata={"Date": None} if file.suffix == ".svg" else None)


def _draw_power(axes: Any, course: Course) -> None:
    def megawatts(watts: float) -> float:
        return watts / 1e6

    if course.true_w:
        axes.fill_between(
            [at_s for at_s, _ in course.true_w],
            [megawatts(watts) for _, watts in course.true_w],
            color="#9ec5e8",
            label="true power",
            lw=0,
        )
    for watts, label, style in (
        (course.metered_w, "metered", {"color": "#1f5f99", "lw": 1.2}),
        (course.expected_w, "expected", {"color": "#444444", "lw": 1.0, "ls": ":"}),
        (course.limit_w, "limit in force", {"color": "#c8102e", "lw": 1.6, "drawstyle": "steps-post"}),
    ):
        axes.plot(course.at_s, [megawatts(w) for w in watts], label=label, **style)
    top = axes.get_ylim()[1]
    for at_s, words in course.marks:
        axes.axvline(at_s, color="#888888", lw=0.6)
        axes.annotate(words, (at_s, top), rotation=90, va="top", ha="right", fontsize=7, color="#555555")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("MW")
    axes.set_title(course.title, loc="left", fontsize=11)
    axes.legend(loc="lower right", ncols=4, fontsize=8, framealpha=0.9)
    axes.grid(visible=True, color="#e5e5e5", lw=0.5)


def _draw_states(axes: Any, course: Course) -> None:
    for span in course.states:
        colour = _STATE_COLOURS.get(span.state, "#ffffff")
        axes.axvspan(span.start_s, span.end_s, color=colour, lw=0)
        axes.text(
            (span.start_s + span.end_s) / 2,
            0.5,
            span.state,
            ha="center",
            va="center",
            fontsize=7,
            clip_on=True,
        )
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel("state", rotation=0, ha="right", va="center")
    axes.set_xlabel("s")


def _matplotlib(module: str) -> Any:
    try:
        return importlib.import_module(f"matplotlib{module}")
    except ModuleNotFoundError as error:
        raise PictureError("pictures need matplotlib: pip install 'quotawatt[plot]'") from error
