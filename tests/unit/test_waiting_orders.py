"""Who goes first when orders come faster than they can be taken, and who cannot be shut out."""

from daemon.commands.words import Lane, Role
from daemon.mqtt.waiting_orders import (
    COMMAND_CHECKS_PER_S,
    IN_A_ROW,
    MAX_WAITING,
    MAX_WAITING_BYTES,
    Arrived,
    WaitingOrders,
)
from daemon.signing import PrivateKey, sign
from tests.world.orders import KEYS, VERIFIER, command_claims, lease_claims, quota_claims, signed

FORGER = PrivateKey.from_seed(b"\x66" * 32, KEYS[Role.DISPATCHER].kid)
HOLD = {"limit_w": 5_000_000, "reason": "crane"}


def waiting(now_s: float = 0.0) -> WaitingOrders:
    return WaitingOrders(VERIFIER.keys.claimed_signer, now_s)


def arrived(lane: Lane, payload: bytes, *, retained: bool = False) -> Arrived:
    return Arrived(lane, payload, retained, 0.0)


def forged(lane: Lane, number: int) -> bytes:
    return sign(b'{"n":%d}' % number, lane.typ, FORGER).encode()


def taken(orders: WaitingOrders, now_s: float) -> list[Arrived]:
    """All that may be taken at this moment."""
    found: list[Arrived] = []
    while isinstance(message := orders.next(now_s), Arrived):
        found.append(message)
    return found


def test_quota_lease_and_hold_go_first() -> None:
    orders = waiting()
    sent = [
        (Lane.DISPATCHER, signed(command_claims("plan", {"limit_w": 1}, iss="dispatch-1"), Lane.DISPATCHER)),
        (Lane.OPERATOR, signed(command_claims("ping"), Lane.OPERATOR)),
        (Lane.OPERATOR, signed(command_claims("hold", HOLD), Lane.OPERATOR)),
        (Lane.LEASE, signed(lease_claims(), Lane.LEASE)),
        (Lane.QUOTA, signed(quota_claims(), Lane.QUOTA)),
    ]
    for lane, payload in sent:
        assert orders.add(arrived(lane, payload))
    assert [(message.lane, message.payload) for message in taken(orders, 0.0)] == [
        sent[4], sent[3], sent[2], sent[0], sent[1]
    ]  # fmt: skip
    assert orders.next(0.0) is None


def test_a_flood_of_commands_uses_up_its_own_budget_only() -> None:
    orders = waiting()
    checked = 0
    for tick in range(1000):
        for number in range(5):
            orders.add(arrived(Lane.OPERATOR, forged(Lane.OPERATOR, tick * 5 + number)))
        checked += len(taken(orders, tick / 1000))
    assert checked <= COMMAND_CHECKS_PER_S * 1.25 + 1
    assert orders.dropped[Lane.OPERATOR] >= 5000 - checked - MAX_WAITING
    quota = arrived(Lane.QUOTA, signed(quota_claims(), Lane.QUOTA))
    orders.add(quota)
    assert orders.next(1.0) is quota


def test_a_flood_in_nobodys_name_comes_after_the_keys_of_the_site() -> None:
    orders = waiting()
    stranger = PrivateKey.from_seed(b"\x67" * 32, "stranger")
    for number in range(500):
        orders.add(arrived(Lane.QUOTA, sign(b"%d" % number, Lane.QUOTA.typ, stranger).encode()))
        orders.add(arrived(Lane.QUOTA, b"garbage %d" % number))
        # A key of the site's that may not speak here is nobody either.
        orders.add(arrived(Lane.QUOTA, signed({"n": number}, Lane.QUOTA, role=Role.OPERATOR)))
    quota = arrived(Lane.QUOTA, signed(quota_claims(), Lane.QUOTA))
    orders.add(quota)
    for number in range(500):
        orders.add(arrived(Lane.QUOTA, b"more garbage %d" % number))
    assert orders.next(0.0) is quota


def test_forgeries_in_one_name_do_not_shut_out_another() -> None:
    other = PrivateKey.from_seed(b"\x04" * 32, "dispatch-2")

    def signer(lane: Lane, payload: bytes) -> str | None:
        return VERIFIER.keys.claimed_signer(lane, payload) or ("dispatch-2" if payload == genuine else None)

    genuine = sign(b"{}", Lane.LEASE.typ, other).encode()
    orders = WaitingOrders(signer, 0.0)
    for number in range(MAX_WAITING):
        orders.add(arrived(Lane.LEASE, forged(Lane.LEASE, number)))
    orders.add(arrived(Lane.LEASE, genuine))
    for number in range(MAX_WAITING, 4 * MAX_WAITING):
        orders.add(arrived(Lane.LEASE, forged(Lane.LEASE, number)))
    first, second = orders.next(0.0), orders.next(0.0)
    assert isinstance(first, Arrived)
    assert isinstance(second, Arrived)
    assert genuine in {first.payload, second.payload}


def test_the_freshest_are_kept_and_the_others_counted() -> None:
    orders = waiting()
    for number in range(MAX_WAITING + 10):
        orders.add(arrived(Lane.LEASE, forged(Lane.LEASE, number)))
    assert orders.dropped[Lane.LEASE] == 10
    first = orders.next(0.0)
    assert isinstance(first, Arrived)
    assert first.payload == forged(Lane.LEASE, 10)


def test_room_is_counted_in_bytes_too() -> None:
    orders = waiting()
    for number in range(40):
        orders.add(arrived(Lane.QUOTA, b"%03d" % number + b"a" * (256 * 1024 - 3)))
    waits = taken(orders, 0.0)
    assert sum(len(message.payload) for message in waits) <= MAX_WAITING_BYTES
    assert orders.dropped[Lane.QUOTA] == 40 - len(waits)


def test_of_what_is_too_large_no_more_is_kept_than_shows_it() -> None:
    orders = waiting()
    orders.add(arrived(Lane.LEASE, b"a" * 10_000_000))
    message = orders.next(0.0)
    assert isinstance(message, Arrived)
    assert len(message.payload) == Lane.LEASE.max_bytes + 1


def test_the_same_bytes_wait_once() -> None:
    orders = waiting()
    payload = signed(lease_claims(), Lane.LEASE)
    for _ in range(10):
        orders.add(arrived(Lane.LEASE, payload))
    orders.add(arrived(Lane.LEASE, payload, retained=True))
    assert [message.retained for message in taken(orders, 0.0)] == [False, True]
    assert not any(orders.dropped.values())


def test_a_used_up_budget_says_when_it_goes_on() -> None:
    orders = waiting()
    for number in range(MAX_WAITING):
        orders.add(arrived(Lane.OPERATOR, forged(Lane.OPERATOR, number)))
    assert len(taken(orders, 0.0)) == min(MAX_WAITING, COMMAND_CHECKS_PER_S * 0.25 + 0.5)
    wait_s = orders.next(0.0)
    assert isinstance(wait_s, float)
    assert 0 < wait_s < 0.02
    assert isinstance(orders.next(wait_s), Arrived)


def test_a_long_message_costs_several_checks() -> None:
    orders = waiting()
    for number in range(4):
        orders.add(arrived(Lane.QUOTA, b"%d" % number + b"a" * 200_000))
    assert len(taken(orders, 0.0)) == 4
    for number in range(60):
        orders.add(arrived(Lane.QUOTA, b"%03d" % number + b"a" * 20_000))
    assert len(taken(orders, 0.0)) < 60


def flooded(orders: WaitingOrders, *lanes: Lane) -> None:
    for lane in lanes:
        for number in range(MAX_WAITING):
            orders.add(arrived(lane, forged(lane, number)))


def test_no_urgent_topic_shuts_out_another() -> None:
    orders = waiting()
    flooded(orders, Lane.QUOTA)
    orders.add(lease := arrived(Lane.LEASE, signed(lease_claims(), Lane.LEASE)))
    orders.add(hold := arrived(Lane.OPERATOR, signed(command_claims("hold", HOLD), Lane.OPERATOR)))
    orders.add(ping := arrived(Lane.OPERATOR, signed(command_claims("ping"), Lane.OPERATOR)))
    # However often the budget is full again: the urgent ones have their turns.
    found = [orders.next(float(second)) for second in range(IN_A_ROW + 2)]
    assert lease in found
    assert hold in found
    # What is not urgent waits for all of these.
    assert ping not in found


def test_a_quota_goes_before_the_lease_that_may_be_for_it_whoever_had_the_last_turn() -> None:
    orders = waiting()
    orders.add(arrived(Lane.QUOTA, forged(Lane.QUOTA, 0)))
    taken(orders, 0.0)
    orders.add(arrived(Lane.LEASE, signed(lease_claims(), Lane.LEASE)))
    for number in range(IN_A_ROW - 1):
        orders.add(arrived(Lane.QUOTA, forged(Lane.QUOTA, number)))
    lanes = [message.lane for message in taken(orders, 0.0)]
    assert lanes == [*[Lane.QUOTA] * (IN_A_ROW - 1), Lane.LEASE]


def test_three_floods_share_the_turns() -> None:
    orders = waiting()
    flooded(orders, Lane.QUOTA, Lane.LEASE)
    for number in range(MAX_WAITING):
        claims = command_claims("hold", HOLD, jti=f"{number:08x}-1111-4222-8333-444455556666")
        orders.add(arrived(Lane.OPERATOR, signed(claims, Lane.OPERATOR)))
    lanes = [message.lane for message in taken(orders, 0.0)[: 6 * IN_A_ROW]]
    assert [lanes.count(lane) for lane in (Lane.QUOTA, Lane.LEASE, Lane.OPERATOR)] == [2 * IN_A_ROW] * 3


def test_spare_time_is_used_beyond_the_budget_and_not_before_it() -> None:
    orders = waiting()
    flooded(orders, Lane.OPERATOR)
    within = taken(orders, 0.0)
    assert isinstance(orders.next(0.0), float)
    flooded(orders, Lane.LEASE)
    first = orders.next(0.0, spare=True)
    assert isinstance(first, Arrived)
    assert first.lane is Lane.LEASE
    beyond = 0
    while isinstance(message := orders.next(0.0, spare=True), Arrived):
        beyond += message.lane is Lane.OPERATOR
    assert len(within) + beyond == MAX_WAITING
    assert orders.next(0.0, spare=True) is None


def test_what_was_taken_in_spare_time_is_not_charged() -> None:
    orders = waiting()
    flooded(orders, Lane.OPERATOR)
    taken(orders, 0.0)
    before_s = orders.next(0.0)
    assert isinstance(orders.next(0.0, spare=True), Arrived)
    flooded(orders, Lane.OPERATOR)
    assert orders.next(0.0) == before_s
