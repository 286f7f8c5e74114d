"""What nothing could have shed, by a twin of the plant."""

from drivers.profiles import load_profile
from sim_devices.demo.shadow import REACTION_S, Shadow
from sim_devices.layout import lay_out
from sim_devices.physics import PlantModel
from sim_devices.plant import Moment

STEP_S = 0.1
SLOW_W = 2 * 3050
"""Two of twelve miners are of the slow model."""


def plant(disobedient_share: float = 0.0) -> PlantModel:
    return lay_out(
        miners=12, racks=0, pdus=1, seed=1, profile=load_profile, disobedient_share=disobedient_share
    ).model


def live(model: PlantModel, seconds: float, history: list[Moment]) -> None:
    for _ in range(round(seconds / STEP_S)):
        model.step(STEP_S)
        at_s = round(model.now_s, 3)
        history.append(Moment(at_s, at_s, model.true_power_w, model.meter.register_wh, model.floor_w()))


def shed(model: PlantModel) -> None:
    for load_id in model.loads:
        model.order(load_id, 0)


def test_the_twin_sheds_at_once_and_slow_actuators_are_not_to_blame() -> None:
    model, history = plant(), list[Moment]()
    live(model, 1, history)
    full_w = model.true_power_w
    shadow = Shadow.of(model, first=len(history), published_s=1.0)
    live(model, 40, history)
    course = shadow.floor_w(history, STEP_S)
    assert course[:10] == [0.0] * 10
    assert course[10] == full_w
    assert SLOW_W < course[150] < 0.5 * full_w
    assert course[-1] < SLOW_W
    assert model.true_power_w == full_w


def test_a_site_that_reacts_in_time_is_never_above_its_twin() -> None:
    model, history = plant(), list[Moment]()
    live(model, 1, history)
    shadow = Shadow.of(model, first=len(history), published_s=1.0)
    live(model, REACTION_S - 0.5, history)
    shed(model)
    live(model, 40, history)
    course = shadow.floor_w(history, STEP_S)
    over = [
        moment.true_power_w - max(floor_w, moment.floor_w)
        for moment, floor_w in zip(history[10:], course[10:], strict=True)
    ]
    assert max(over) <= 1e-6


def test_a_site_that_reacts_too_late_is() -> None:
    model, history = plant(), list[Moment]()
    live(model, 1, history)
    shadow = Shadow.of(model, first=len(history), published_s=1.0)
    live(model, REACTION_S + 2, history)
    shed(model)
    live(model, 40, history)
    course = shadow.floor_w(history, STEP_S)
    # The slow loads fall late although the window of the fast ones is long over.
    late = [
        moment.wall_s
        for moment, floor_w in zip(history, course, strict=True)
        if moment.wall_s > 1 + 10 and moment.true_power_w > max(floor_w, moment.floor_w) + 1000
    ]
    assert late


def test_a_load_that_does_not_obey_stays_in_the_floor() -> None:
    model, history = plant(disobedient_share=1.0), list[Moment]()
    full_w = model.true_power_w
    shadow = Shadow.of(model, first=0, published_s=0.0)
    live(model, 30, history)
    assert shadow.floor_w(history, STEP_S)[-1] == full_w


def test_a_twin_says_nothing_once_another_limit_counts() -> None:
    model, history = plant(), list[Moment]()
    shadow = Shadow.of(model, first=0, published_s=0.0)
    shadow.until_s = 5.0
    live(model, 10, history)
    course = shadow.floor_w(history, STEP_S)
    assert course[48] > 0
    assert course[50:] == [0.0] * 50


def test_asking_twice_gives_the_same() -> None:
    model, history = plant(), list[Moment]()
    shadow = Shadow.of(model, first=0, published_s=0.0)
    live(model, 30, history)
    assert shadow.floor_w(history, STEP_S) == shadow.floor_w(history, STEP_S)
