"""Scenario files: what is read, what is refused and how, and what happens when."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from drivers.profiles import load_profile
from sim_devices.faults import AnswerFault, DeviceFaults
from sim_devices.layout import lay_out
from sim_devices.scenario import Play, ScenarioDocument, ScenarioError, Site, load_scenario
from sim_devices.scenario.document import Befalling, Condition, Event
from sim_devices.scenario.reading import parse_scenario

FILES = sorted((Path(__file__).parents[1] / "scenarios").iterdir())


def known_faults() -> set[str]:
    return {name for kind in get_args(Event) for name in get_args(kind.model_fields["fault"].annotation)}


def site(seed: int = 1, **options: Any) -> Site:
    options = {"miners": 40, "racks": 1, "pdus": None, **options}
    layout = lay_out(seed=seed, profile=load_profile, **options)
    faults = {spec.id: DeviceFaults(spec.id, layout.model) for spec in layout.specs}
    return Site(layout.specs, faults, layout.model)


def document(*events: dict[str, Any], **more: Any) -> ScenarioDocument:
    return parse_scenario({"title": "t", **more, "events": list(events)}, "s.toml")


def wrong(site: Site, name: str, value: Any) -> list[str]:
    return [device for device, faults in site.faults.items() if getattr(faults, name) == value]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_scenario_of_the_tests_fits_its_site_and_plays_to_its_end(path: Path) -> None:
    scenario = load_scenario(path)
    options = {} if scenario.plant is None else scenario.plant.model_dump(exclude={"lie_percent"})
    play = Play(scenario, site(scenario.seed, **options))
    for second in range(0, 90_000, 10):
        play.advance(second)


def test_the_scenario_of_every_fault_has_every_fault() -> None:
    scenario = load_scenario(Path(__file__).parents[1] / "scenarios" / "every-fault.toml")
    assert {event.fault for event in scenario.events} == known_faults()
    assert {str(fault) for fault in AnswerFault} < known_faults()


def test_the_page_on_the_simulated_site_has_every_fault_and_an_example_that_plays() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulated-site.md").read_text(encoding="utf-8")
    assert {name for name in known_faults() if f"`{name}`" not in page} == set()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    scenario = parse_scenario(tomllib.loads(example), "page")
    assert scenario.plant is not None
    Play(scenario, site(**scenario.plant.model_dump(exclude={"lie_percent"}))).advance(3600)


@pytest.mark.parametrize("kind", [each for each in get_args(Befalling) if issubclass(each, Condition)])
def test_every_condition_sets_faults_that_there_are(kind: type[Condition]) -> None:
    for name in get_args(kind.model_fields["fault"].annotation):
        needed = {"seconds": 1.0, "every": 2, "code": 4, "percent": 5.0}
        event = kind.model_validate(
            {"at_s": 0, "devices": "m", "fault": name}
            | {key: needed[key] for key in kind.model_fields if key in needed and key != "every_s"}
        )
        assert all(hasattr(DeviceFaults, attribute) for attribute in event.faults())


EVENT = {"at_s": 1, "devices": "m-*", "fault": "refuse"}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({}, "s.toml: title: is missing"),
        ({"title": "t", "sed": 1}, "s.toml: sed: is not known here; take it away, or mend its spelling"),
        ({"title": "t", "seed": -1}, "s.toml: seed: is -1; input should be greater than or equal to 0"),
        ({"title": "t", "seed": True}, "s.toml: seed: is True; input should be a valid integer"),
        (
            {"title": "t", "plant": {"miners": 1.5}},
            "s.toml: plant.miners: is 1.5; input should be a valid integer",
        ),
        (
            {"title": "t", "plant": {"mix": {"s21": 1.0}}},
            's.toml: plant: mix names "s21", no simulated miner; there are sim-miner, sim-miner-a1566',
        ),
        (
            {"title": "t", "plant": {"miners": 10, "gateways": 1}},
            "s.toml: plant: has 20 miners behind gateways, but only 10; use fewer gateways",
        ),
        (
            {"title": "t", "events": [EVENT, {**EVENT, "fault": "lateness"}]},
            's.toml: events[1]: is "lateness", no known fault; known are "latency"',
        ),
        (
            {"title": "t", "events": [{"at_s": 1}]},
            's.toml: events[0]: has no fault; give one, such as fault = "latency"',
        ),
        (
            {"title": "t", "events": [{**EVENT, "fault": "latency"}]},
            "s.toml: events[0].seconds: is missing",
        ),
        (
            {"title": "t", "events": [{**EVENT, "seconds": 3.0}]},
            "s.toml: events[0].seconds: is not known here",
        ),
        (
            {"title": "t", "events": [{**EVENT, "fault": "vanish", "for_s": 3}]},
            "s.toml: events[0].for_s: is not known here",
        ),
        (
            {"title": "t", "events": [{**EVENT, "at_s": float("nan")}]},
            "s.toml: events[0].at_s: is nan; input should be a finite number",
        ),
        (
            {"title": "t", "events": [{"at_s": 1, "fault": "refuse"}]},
            "s.toml: events[0]: names no device; give devices, gateways or profiles",
        ),
        (
            {"title": "t", "events": [{**EVENT, "share": 0.5, "count": 2}]},
            "s.toml: events[0]: has both share and count; give one",
        ),
        ({"title": "t", "events": [{**EVENT, "times": 2}]}, "s.toml: events[0]: times goes with every_s"),
        (
            {"title": "t", "events": [{**EVENT, "every_s": 5, "for_s": 6}]},
            "s.toml: events[0]: lasts longer than until it happens again; give for_s up to every_s",
        ),
        (
            {"title": "t", "events": [{**EVENT, "fault": "drop"}]},
            "s.toml: events[0]: needs either every or chance",
        ),
        (
            {"title": "t", "events": [{**EVENT, "devices": []}]},
            "s.toml: events[0].devices: is []; list should have at least 1 item after validation, not 0",
        ),
        ([], "s.toml: file: is []; input should be a valid dictionary or instance of ScenarioDocument"),
    ],
)
def test_a_mistake_is_said_with_file_and_key(raw: object, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(raw, "s.toml")
    assert any(line.startswith(said) for line in str(caught.value).splitlines()), str(caught.value)


def test_every_mistake_is_said_at_once() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario({"title": "", "events": [{**EVENT, "at_s": -1}, {**EVENT, "colour": 1}]}, "s.toml")
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "title",
        "events[0].at_s",
        "events[1].colour",
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "title = ", "a.toml: Invalid value"),
        ("a.json", "{", "a.json: Expecting property name"),
        ("a.json", '{"title": "t", "title": "u"}', 'a.json: "title" stands twice in one object; keep one'),
        ("a.yaml", "title: t", 'a.yaml: is a ".yaml" file; .toml or .json would be right'),
    ],
)
def test_a_file_that_is_none_is_said(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"^/") as caught:
        load_scenario(tmp_path / name)
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read: No such file"):
        load_scenario(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(ScenarioError, match="is not UTF-8"):
        load_scenario(tmp_path / "b.toml")


def test_json_and_toml_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('title = "t"\n[[events]]\nat_s = 1\ndevices = "m-*"\nfault = "refuse"\n')
    (tmp_path / "a.json").write_text(json.dumps({"title": "t", "events": [EVENT]}))
    assert load_scenario(tmp_path / "a.toml") == load_scenario(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"devices": ["m-01-01", "m-9*"]}, 'events[0].devices: "m-9*" matches no device of the site'),
        ({"gateways": "gw-7"}, 'events[0].gateways: "gw-7" matches no gateway of the site'),
        (
            {"devices": "m-*", "profiles": "sim-pdu"},
            'events[0].profiles: "sim-pdu" matches no profile of the site',
        ),
        ({"devices": "m-01-*", "count": 21}, "events[0].count: is 21, and there are 20 such devices"),
        (
            {"devices": "*", "fault": "disobey"},
            'events[0]: "disobey" befalls a load, and meter is a site-meter',
        ),
        (
            {"devices": "m-*", "fault": "backwards"},
            'events[0]: "backwards" befalls a meter, and m-01-01 is a load',
        ),
    ],
)
def test_an_event_that_does_not_fit_the_site_is_said_with_its_key(event: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Play(document({"at_s": 1, "fault": "refuse", **event}), site())
    assert str(caught.value) == said


def test_a_condition_begins_and_ends_on_time_with_those_it_names_alone() -> None:
    here = site()
    play = Play(document({**EVENT, "at_s": 5, "for_s": 10, "devices": "m-01-0[12]"}), here)
    course = {}
    for second in range(20):
        play.advance(second)
        course[second] = wrong(here, "refuse", value=True)
    chosen = ["m-01-01", "m-01-02"]
    assert course == {second: chosen if 5 <= second < 15 else [] for second in range(20)}


def test_events_are_carried_out_in_order_however_far_apart_one_looks() -> None:
    here = site()
    play = Play(
        document(
            {**EVENT, "at_s": 9, "fault": "latency", "seconds": 2.0},
            {**EVENT, "at_s": 3, "fault": "latency", "seconds": 1.0, "for_s": 2},
        ),
        here,
    )
    play.advance(100)
    assert set(wrong(here, "latency_s", 2.0)) == {device for device in here.faults if device[:2] == "m-"}


def test_of_two_conditions_at_a_time_the_last_counts_and_the_first_comes_back() -> None:
    here = site()
    play = Play(
        document(
            {**EVENT, "at_s": 0, "for_s": 30, "fault": "latency", "seconds": 1.0},
            {**EVENT, "at_s": 10, "for_s": 10, "fault": "latency", "seconds": 2.0},
            {**EVENT, "at_s": 15, "for_s": 30, "fault": "latency", "seconds": 3.0},
        ),
        here,
    )
    seen = []
    for second in range(0, 50, 5):
        play.advance(second)
        seen.append(here.faults["m-01-01"].latency_s)
    assert seen == [1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 0.0]


def test_who_disobeyed_before_does_so_after() -> None:
    here = site(disobedient_share=0.1)
    before = wrong_loads(here)
    play = Play(document({"at_s": 0, "for_s": 5, "devices": "m-*", "fault": "disobey"}), here)
    play.advance(0)
    assert len(wrong_loads(here)) == 40
    play.advance(5)
    assert wrong_loads(here) == before
    assert len(before) == 4


def wrong_loads(here: Site) -> list[str]:
    return [load.id for load in here.model.loads.values() if load.disobeys]


def test_a_share_is_drawn_by_seed_anew_each_time_it_happens() -> None:
    def draws(seed: int) -> list[list[str]]:
        here = site()
        play = Play(
            document({**EVENT, "every_s": 10, "for_s": 5, "times": 3, "share": 0.25}, seed=seed), here
        )
        found = []
        for second in range(0, 60, 3):
            play.advance(second)
            if refused := wrong(here, "refuse", value=True):
                found.append(refused)
        return found

    first = draws(1)
    assert [len(each) for each in first] == [10, 10, 10, 10, 10]
    assert len({tuple(each) for each in first}) == 3
    assert draws(1) == first
    assert draws(2) != first


def test_a_gateway_takes_what_is_behind_it_along_and_no_other() -> None:
    here = site(gateways=1, disobedient_share=0.0)
    behind = {spec.id for spec in here.specs if spec.gateway == "gw-001"}
    for load_id in here.model.loads:
        here.model.order(load_id, 0)
    for _ in range(60):
        here.model.step(1.0)
    play = Play(document({"at_s": 0, "for_s": 30, "gateways": "gw-*", "fault": "reboot"}), here)
    play.advance(0)
    assert set(wrong(here, "refuse", value=True)) == behind
    for _ in range(90):
        here.model.step(1.0)
    assert len(behind) == 20
    for load in here.model.loads.values():
        assert load.ordered_w == (None if load.id in behind else 0)
        assert (load.draw_w > 0.9 * load.behaviour.full_w * load.factor) == (load.id in behind)
    play.advance(30)
    assert not wrong(here, "refuse", value=True)


def test_a_pool_outage_takes_a_share_of_the_load_and_gives_it_back_within_a_second() -> None:
    here = site(miners=200)
    play = Play(document({"at_s": 10, "for_s": 60, "devices": "m-*", "share": 0.5, "fault": "no-work"}), here)
    course = []
    for second in range(80):
        play.advance(second)
        here.model.step(1.0)
        course.append(here.model.load_w)
    assert course[10] == pytest.approx(0.53 * course[9], rel=0.06)
    assert course[69] == course[10]
    assert course[70] == course[9]


def test_weather_costs_cooling_power() -> None:
    here = site()
    cool_w = here.model.cooling.draw_w
    Play(document({"at_s": 0, "fault": "weather", "mean_c": 35}), here).advance(0)
    for _ in range(600):
        here.model.step(1.0)
    assert here.model.cooling.draw_w == pytest.approx(1.3 * cool_w, rel=0.01)
