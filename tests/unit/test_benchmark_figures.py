from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.figures import Figure, Finding, at_least, at_most, below, read_finding
from benchmarks.machine import Machine
from benchmarks.poll.load import Client, Load, Outcome, Task
from benchmarks.readme import BEGIN, END, inserted, rendered
from benchmarks.rounds import interleaved, median_of, median_ratio, percentile

MACHINE = Machine(cpu="a CPU", cores=2, kernel="6", python="3.11", packages={"uvloop": "0"})


def finding(*figures: Figure) -> Finding:
    return Finding("some-name", "What was done", figures, machine=MACHINE)


def test_the_median_of_ratios_is_not_the_ratio_of_medians() -> None:
    # A slow minute of the machine doubles both: their ratio says nothing of it.
    rounds = [(20.0, 10.0), (40.0, 20.0), (66.0, 30.0)]
    assert median_ratio(rounds, lambda one: one[0], lambda one: one[1]) == 2.0
    assert median_of(rounds, lambda one: one[0]) / median_of(rounds, lambda one: one[1]) == 2.0
    swapped = [(20.0, 10.0), (33.0, 30.0), (40.0, 20.0)]
    assert median_ratio(swapped, lambda one: one[0], lambda one: one[1]) == 2.0
    assert median_of(swapped, lambda one: one[0]) / median_of(swapped, lambda one: one[1]) == 33 / 20


def test_the_median_of_an_even_number_of_rounds_lies_between_the_two_in_the_middle() -> None:
    assert median_of([1.0, 2.0, 4.0, 9.0], lambda one: one) == 3.0


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1.0), (1, 1.0), (50, 50.0), (99, 99.0), (99.5, 100.0), (100, 100.0)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0) == percentile([7.0], 99) == 7.0


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="of 0 values"):
        percentile([], 99)
    with pytest.raises(ValueError, match=r"101 %"):
        percentile([1.0], 101)


def test_every_round_runs_everyone_and_begins_with_another() -> None:
    ran: list[tuple[str, int]] = []

    def run(name: str, number: int) -> int:
        ran.append((name, number))
        return len(ran)

    rounds = interleaved(["a", "b", "c"], 2, run)
    assert ran == [("a", 0), ("b", 0), ("c", 0), ("b", 1), ("c", 1), ("a", 1)]
    assert rounds == [{"a": 1, "b": 2, "c": 3}, {"b": 4, "c": 5, "a": 6}]


def test_a_goal_is_met_at_its_limit_unless_the_figure_must_be_below() -> None:
    assert at_most(1.8).met(1.8)
    assert not at_most(1.8).met(1.81)
    assert at_least(4).met(4.0)
    assert not at_least(4).met(3.99)
    assert below(7).met(6.99)
    assert not below(7).met(7.0)


def test_nan_meets_no_goal() -> None:
    assert not any(goal.met(float("nan")) for goal in (at_most(1), at_least(1), below(1)))


def test_a_finding_comes_back_from_its_file(tmp_path: Path) -> None:
    written = finding(Figure("CPU", 12.5, "µs", at_most(20)), Figure("memory", 60.0, "MB"))
    assert written.write(tmp_path) == tmp_path / "some-name.json"
    held = read_finding(tmp_path / "some-name.json")
    assert held == replace(written, figures=list(written.figures), rounds=[], remarks=[])


def test_the_table_says_which_goal_was_missed() -> None:
    table = finding(Figure("CPU", 12.5, "µs", at_most(20)), Figure("ratio", 5.0, "×", below(2))).table()
    assert [line.split()[-1] for line in table.splitlines()[1:]] == ["met", "MISSED"]


def test_the_readme_shows_figures_with_goals_between_the_markers_and_keeps_the_rest() -> None:
    shown = rendered(
        [
            finding(
                Figure("CPU", 12.5, "µs", at_most(20)),
                Figure("memory", 60, "MB"),
                Figure("x", 3, "×", below(2)),
            )
        ]
    )
    assert "| **What was done**<br>CPU | 12.5 µs | ≤ 20 µs |\n| x | 3 × (missed) | < 2 × |" in shown
    assert "memory" not in shown
    assert MACHINE.line in shown
    once = inserted(f"# Title\n{BEGIN}\nold\n{END}\nend\n", shown)
    assert once == f"# Title\n{BEGIN}\n\n{shown}\n\n{END}\nend\n"
    assert inserted(once, shown) == once


@pytest.mark.parametrize("text", ["no markers", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_readme_without_its_markers_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="README needs"):
        inserted(text, "table")


def test_what_a_client_is_told_and_says_survives_the_way() -> None:
    load = Load(Client.PYMODBUS, 20, None, 0.5, task=Task.ORDER, silent_every=10)
    assert Load.from_json(load.to_json()) == load
    outcome = Outcome(polls=1000, cpu_s=0.02, wall_s=0.04, missed=3, rss_mb=1.5)
    assert Outcome.from_json(outcome.to_json()) == outcome
    assert outcome.us_per_poll == pytest.approx(20.0)
    assert outcome.busy == pytest.approx(50.0)


def test_every_tenth_connection_is_silent() -> None:
    load = Load(Client.OURS, 30, 1.0, 1.0, silent_every=10)
    assert [index for index in range(30) if load.is_silent(index)] == [9, 19, 29]
    assert load.host(257) == "127.1.1.1"
