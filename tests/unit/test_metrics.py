"""The metric names and labels that other people's dashboards rely on."""

import math

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from daemon.http import Metrics

CONTRACT = {
    "quotawatt_site_power_watts",
    "quotawatt_limit_watts",
    "quotawatt_state",
    "quotawatt_over_limit_seconds_total",
    "quotawatt_devices",
    "quotawatt_polls_total",
    "quotawatt_poll_lag_seconds",
    "quotawatt_cycle_seconds",
    "quotawatt_messages_refused_total",
    "quotawatt_ledger_seq",
    "quotawatt_ledger_acked_seq",
}


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, frozenset(labels.items())]


def test_every_name_of_the_contract_is_there() -> None:
    metrics = Metrics()
    metrics.limit(1.0, "quota")
    metrics.state("init")
    metrics.devices({"ok": 1})
    metrics.polls({"ok": 1})
    metrics.messages_refused({("quota", "expired"): 1})

    names = {name for name, _ in samples(metrics)}
    histograms = {name.removesuffix("_bucket") for name in names if name.endswith("_bucket")}
    assert CONTRACT - names - histograms == set()


def test_unknown_power_is_no_number() -> None:
    metrics = Metrics()
    assert math.isnan(value(metrics, "quotawatt_site_power_watts"))

    metrics.power(0.0)
    assert value(metrics, "quotawatt_site_power_watts") == 0.0

    metrics.power(None)
    assert math.isnan(value(metrics, "quotawatt_site_power_watts"))


def test_the_limit_stands_under_its_source_alone() -> None:
    metrics = Metrics()
    metrics.limit(600_000, "quota")
    metrics.limit(0, "hold")

    limits = {key[1]: amount for key, amount in samples(metrics).items() if key[0] == "quotawatt_limit_watts"}
    assert limits == {frozenset({("source", "hold")}): 0.0}


def test_exactly_one_state_is_1() -> None:
    metrics = Metrics()
    metrics.state("init")
    metrics.state("failsafe")

    states = {
        dict(labels)["state"]: on
        for (name, labels), on in samples(metrics).items()
        if name == "quotawatt_state"
    }
    assert states == {"init": 0, "controlled": 0, "limited": 0, "failsafe": 1}


def test_totals_are_shown_as_told() -> None:
    metrics = Metrics()
    metrics.polls({"ok": 10, "timed-out": 2})
    metrics.polls({"ok": 11, "timed-out": 2})
    metrics.messages_refused({("cmd/operator", "expired"): 3})
    metrics.over_limit(12.5)
    metrics.ledger(40, 38)

    assert value(metrics, "quotawatt_polls_total", result="ok") == 11
    assert value(metrics, "quotawatt_messages_refused_total", topic="cmd/operator", reason="expired") == 3
    assert value(metrics, "quotawatt_over_limit_seconds_total") == 12.5
    assert (value(metrics, "quotawatt_ledger_seq"), value(metrics, "quotawatt_ledger_acked_seq")) == (40, 38)


def test_durations_are_counted() -> None:
    metrics = Metrics()
    metrics.cycle_took(0.004)
    metrics.poll_lagged(0.02)

    assert value(metrics, "quotawatt_cycle_seconds_count") == 1
    assert value(metrics, "quotawatt_poll_lag_seconds_sum") == 0.02


def test_two_sites_in_one_process_keep_their_own_numbers() -> None:
    one, other = Metrics(), Metrics()
    one.power(1.0)

    assert math.isnan(value(other, "quotawatt_site_power_watts"))
