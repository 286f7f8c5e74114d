"""Alarms are told when they begin, when others are concerned, and when they end."""

from daemon.cycle.alarms import AGAIN_S, Alarm, AlarmBoard


def told(board: AlarmBoard, wall_s: float, **alarms: Alarm) -> list[tuple[str, str]]:
    return [(event["type"], event["text"]) for event in board.update(alarms, wall_s)]


def test_an_alarm_is_told_once_and_its_end_once() -> None:
    board = AlarmBoard()
    assert told(board, 0.0, over=Alarm("over-limit", "by 1 W")) == [("alarm", "by 1 W")]
    assert told(board, 60.0, over=Alarm("over-limit", "by 2 W")) == []
    assert board.standing() == [{"id": "over", "type": "over-limit", "since": "1970-01-01T00:00:00Z"}]
    assert told(board, 61.0) == [("clear", "by 2 W")]
    assert board.standing() == []
    assert told(board, 62.0) == []


def test_that_others_are_concerned_is_told_again_but_not_every_moment() -> None:
    board = AlarmBoard()
    one, two = Alarm("lazy", "m-1", ("m-1",)), Alarm("lazy", "m-1, m-2", ("m-1", "m-2"))
    assert told(board, 0.0, lazy=one) == [("alarm", "m-1")]
    assert told(board, AGAIN_S - 1, lazy=two) == []
    assert told(board, AGAIN_S, lazy=two) == [("alarm", "m-1, m-2")]
    assert told(board, 3 * AGAIN_S, lazy=two) == []
    assert told(board, 3 * AGAIN_S, lazy=one) == [("alarm", "m-1")]
    assert board.standing()[0]["since"] == "1970-01-01T00:00:00Z"


def test_the_fields_of_an_event() -> None:
    (event,) = AlarmBoard().update({"meter": Alarm("meter", "is silent")}, 0.0)
    assert event == {
        "ts": "1970-01-01T00:00:00Z",
        "type": "alarm",
        "id": "meter",
        "alarm": "meter",
        "text": "is silent",
    }
