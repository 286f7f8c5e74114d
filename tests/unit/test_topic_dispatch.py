"""Which handlers hear which topic."""

import pytest

from daemon.mqtt import dispatch as module
from daemon.mqtt.dispatch import Dispatch
from sim_devices.mqtt.memory import topic_matches

FILTERS = ["a", "a/b", "a/+", "a/#", "+/b", "#", "a/+/c", "$SYS/#", "/", "+/+", "tele/+/SENSOR"]
TOPICS = ["a", "a/b", "a/b/c", "b/b", "/", "a/", "$SYS/x", "tele/plug/SENSOR", "a/b/c/d"]


def ignore(_topic: str, _payload: bytes, _retained: bool) -> None:  # noqa: FBT001  TopicHandler
    raise AssertionError


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("topic_filter", FILTERS)
def test_a_filter_takes_what_the_standard_says(topic_filter: str, topic: str) -> None:
    routes = Dispatch()
    assert routes.add(topic_filter, ignore)
    wanted = topic_matches(topic_filter, topic) and not (
        topic.startswith("$") and topic_filter[0] in "+#"  # MQTT 5, 4.7.2
    )
    for _ in range(2):  # the second time it is remembered
        assert routes.route(topic.encode()) == ((topic, (ignore,)) if wanted else None)


def test_every_handler_of_a_topic_hears_it_and_a_filter_counts_once() -> None:
    calls: list[str] = []
    routes = Dispatch()
    assert routes.add("a/b", lambda *_: calls.append("first"))
    assert not routes.add("a/b", lambda *_: calls.append("second"))
    assert routes.route(b"a/b") is not None
    assert routes.add("a/+", lambda *_: calls.append("wild"))
    route = routes.route(b"a/b")
    assert route is not None
    for handler in route[1]:
        handler("a/b", b"", False)  # noqa: FBT003  TopicHandler
    assert calls == ["first", "second", "wild"]
    assert list(routes.filters) == ["a/b", "a/+"]


def test_who_is_taken_out_hears_no_more() -> None:
    def other(_topic: str, _payload: bytes, _retained: bool) -> None:  # noqa: FBT001  TopicHandler
        raise AssertionError

    routes = Dispatch()
    for topic_filter in FILTERS:
        routes.add(topic_filter, ignore)
    routes.add("a/b", other)
    assert not routes.remove("a/b", ignore)
    assert "a/b" in routes.filters
    assert routes.remove("a/b", other)
    assert "a/b" not in routes.filters
    for topic_filter in FILTERS:
        if topic_filter != "a/b":
            assert routes.remove(topic_filter, ignore)
    assert not routes.filters
    assert [routes.route(topic.encode()) for topic in TOPICS] == [None] * len(TOPICS)


@pytest.mark.parametrize("wrong", ["", "a/#/b", "a#", "a/b+", "+a/b", "#/"])
def test_what_is_no_filter_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no topic filter"):
        Dispatch().add(wrong, ignore)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 10)
    routes = Dispatch()
    routes.add("a/+", ignore)
    for number in range(100):
        assert routes.route(f"a/{number}".encode()) is not None
        assert routes.route(f"b/{number}".encode()) is None
        assert len(routes._routes) <= 10
