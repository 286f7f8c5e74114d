"""What waits on a link: in order of urgency, first come first served, and nothing starves."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.lanes import MOST_WAIT_S, Lane, Lanes

TURN_S = 0.1


@dataclass
class Item:
    name: str
    queued_at: float = 0.0


def names(lanes: Lanes[Item], now: float) -> list[str]:
    return [lanes.take(now).name for _ in range(lanes.waiting)]


def test_writes_go_ahead_of_control_reads_and_those_ahead_of_slow_reads() -> None:
    lanes: Lanes[Item] = Lanes()
    for number in range(2):
        for lane in reversed(Lane):
            lanes.put(lane, Item(f"{lane.name} {number}"), 0.0)
    lanes.put_first(Lane.CONTROL, Item("first"), 0.0)
    assert names(lanes, 0.1) == [
        "WRITE 0", "WRITE 1", "first", "CONTROL 0", "CONTROL 1", "SLOW 0", "SLOW 1",
    ]  # fmt: skip
    assert lanes.waiting == 0


def test_what_waited_long_takes_every_other_turn_so_that_a_write_waits_for_one_read_at_most() -> None:
    lanes: Lanes[Item] = Lanes()
    for number in range(3):
        lanes.put(Lane.CONTROL, Item(f"read {number}"), 0.0)
        lanes.put(Lane.WRITE, Item(f"write {number}"), 5.0)
    assert names(lanes, 5.0) == ["read 0", "write 0", "read 1", "write 1", "read 2", "write 2"]


@given(st.lists(st.sampled_from((Lane.WRITE, Lane.CONTROL)), min_size=400, max_size=400))
def test_nothing_starves_however_much_comes_ahead_of_it(coming: list[Lane]) -> None:
    lanes: Lanes[Item] = Lanes()
    slow = Item("slow")
    lanes.put(Lane.SLOW, slow, 0.0)
    lanes.put(Lane.CONTROL, Item("control"), 0.0)
    waited: dict[str, float] = {}
    for turn, lane in enumerate(coming):
        # One comes for every one that goes: the queue never gets empty.
        lanes.put(lane, Item("more"), turn * TURN_S)
        waited.setdefault(lanes.take(turn * TURN_S).name, turn * TURN_S)
    assert waited["control"] <= MOST_WAIT_S[Lane.CONTROL] + 3 * TURN_S
    assert waited["slow"] <= 2 * MOST_WAIT_S[Lane.SLOW] + 1


def test_what_is_taken_out_does_not_wait_any_more() -> None:
    lanes: Lanes[Item] = Lanes()
    stays, goes = Item("stays"), Item("goes")
    lanes.put(Lane.SLOW, stays, 0.0)
    lanes.put(Lane.CONTROL, goes, 0.0)
    assert lanes.drop(goes)
    assert not lanes.drop(goes)
    assert lanes.waiting == 1
    assert lanes.empty() == [stays]
    assert lanes.waiting == 0
