"""The demo as a picture: what the daemon saw and expected, over what the plant really drew."""

from sim_devices.demo.stage import Stage
from sim_devices.picture import Course, course_of_cycles

_EVERY = 5
"""Steps of the plant between two points of the picture."""


def course_of_demo(stage: Stage) -> Course:
    """The course of a demo whose daemon has stopped."""
    history = stage.plant.history
    begin_s = history[0].wall_s
    return course_of_cycles(
        stage.files.folder / "state" / "samples.db",
        f"{len(stage.plant.devices)} simulated devices, {stage.full_w / 1e6:.2f} MW at full load",
        begin_s,
        true_w=[(moment.wall_s, moment.true_power_w) for moment in history[::_EVERY]],
        marks=[(step.at_s, step.name) for step in stage.chronicle.steps],
    )
