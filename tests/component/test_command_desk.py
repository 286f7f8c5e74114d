"""The command desk: durable before told, answered once, resumed after a restart."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from daemon.commands.answers import Answer
from daemon.commands.desk import CommandDesk
from daemon.commands.kept import Kept
from daemon.commands.orders import Exclusion, Hold, Lease, OperatorLimit, ScheduleEntry
from daemon.commands.sender import Sender, Signed
from daemon.commands.verdicts import Refused
from daemon.commands.words import Lane, Role
from daemon.cycle.local_view import LocalView
from daemon.errors import StoreError
from daemon.http.view import NO_STORE, CommandOutcome
from daemon.signing import PrivateKey, jws_hash, sign
from daemon.timestamps import format_utc
from tests.world.desk import DeskWorld, answer_claims, desk_world, said
from tests.world.hand_clock import HandClock
from tests.world.orders import (
    KEYS,
    NOW_S,
    SITE,
    CountedUuids,
    command_claims,
    lease_claims,
    signed,
)

ACCEPTED = ("accepted", None)
DONE = ("done", None)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[DeskWorld]:
    async with desk_world(tmp_path) as made:
        yield made


class Senders:
    """One sender for each role, on the site's own clock unless told otherwise."""

    def __init__(self, clock: HandClock) -> None:
        uuids = CountedUuids()
        self.dispatcher = Sender(KEYS[Role.DISPATCHER], SITE, clock, uuids)
        self.operator = Sender(KEYS[Role.OPERATOR], SITE, clock, uuids)

    def quota(self, rev: int, limit_w: int | None = 12_000_000, *, exp: int | None = None) -> Signed:
        return self.dispatcher.quota(rev, [ScheduleEntry(NOW_S - 60, NOW_S + 3600, limit_w)], exp=exp)

    def hold(self, limit_w: int, **args: Any) -> Signed:
        return self.command("hold", {"limit_w": limit_w, "reason": "crane", **args})

    def command(self, op: str, args: dict[str, Any] | None = None) -> Signed:
        return self.operator.command(op, args, lane=Lane.OPERATOR)


@pytest.fixture
def senders(world: DeskWorld) -> Senders:
    return Senders(world.clock)


async def give(desk: CommandDesk, message: Signed, *, retained: bool = False) -> list[Answer]:
    return list(await desk.receive(message.lane, message.jws.encode(), retained=retained))


async def words(desk: CommandDesk, message: Signed) -> list[str]:
    """What a message was answered so far."""
    return [answer_claims(jws)["status"] for jws in await desk.answers(message.jti)]


async def test_a_quota_is_accepted_done_kept_and_told(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    quota = senders.quota(3)
    answers = await give(desk, quota)
    assert said(answers) == [ACCEPTED, DONE]
    assert world.outlet.answers == answers
    assert world.site.of("quota") == [3]
    assert (await Kept.load(world.store)).quota == desk.kept.quota
    assert desk.kept.quota is not None
    assert desk.kept.quota.hash == jws_hash(quota.jws)
    (record,) = world.ledger.bodies
    assert record["what"] == "quota"
    assert record["detail"]["hash"] == jws_hash(quota.jws)


async def test_an_answer_has_the_claims_of_the_contract(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    ping = senders.command("ping")
    accepted, done = [answer_claims(answer) for answer in await give(desk, ping)]
    assert accepted == {
        "iss": SITE,
        "aud": "operator-1",
        "jti": ping.jti,
        "seq": accepted["seq"],
        "iat": NOW_S,
        "exp": NOW_S + 300,
        "status": "accepted",
    }
    assert done["result"] == {"state": "limited", "limit_w": 10_000_000}
    assert done["seq"] > accepted["seq"]


async def test_the_quota_held_is_ignored_when_the_broker_delivers_it_again(
    world: DeskWorld, senders: Senders
) -> None:
    desk = await world.open()
    quota = senders.quota(3)
    await give(desk, quota)
    for late_s in (0, 4000):
        world.clock.advance(late_s)
        assert await give(desk, quota, retained=True) == []
    assert world.outlet.refusals == []
    assert world.site.of("quota") == [3]


async def test_the_same_bytes_get_the_stored_answers_and_are_not_executed_again(
    world: DeskWorld, senders: Senders
) -> None:
    desk = await world.open()
    hold = senders.hold(5_000_000)
    first = await give(desk, hold)
    assert await give(desk, hold) == first
    assert len(world.site.of("hold")) == 1
    assert len(world.ledger.bodies) == 1
    reopened = await world.open()
    assert await give(reopened, hold) == first


async def test_a_refusal_is_stored_too(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    wrong = senders.command("hold", {"limit_w": -1, "reason": "x"})
    first = await give(desk, wrong)
    assert said(first) == [("rejected", "invalid-args")]
    assert await give(desk, wrong) == first
    assert world.outlet.refusals == [("cmd/operator", "invalid-args")]


async def test_a_retained_copy_of_a_command_does_not_spoil_the_command(
    world: DeskWorld, senders: Senders
) -> None:
    desk = await world.open()
    hold = senders.hold(5_000_000)
    assert said(await give(desk, hold, retained=True)) == [("rejected", "retained")]
    assert said(await give(desk, hold)) == [ACCEPTED]


async def test_a_jti_belongs_to_one_message(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    hold = senders.hold(5_000_000)
    await give(desk, hold)
    other = signed(command_claims("release_hold", jti=hold.jti, seq=NOW_S * 1_000_000 + 99), Lane.OPERATOR)
    assert said(await desk.receive(Lane.OPERATOR, other)) == [("rejected", "jti-reuse")]
    assert world.site.of("hold") == [Hold(5_000_000, "crane", None)]


async def test_a_seq_is_used_up_by_a_refusal_after_the_times(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    earlier = senders.hold(5_000_000)
    assert said(await give(desk, senders.command("nothing"))) == [("rejected", "invalid-args")]
    assert said(await give(desk, earlier)) == [("rejected", "replayed")]


async def test_each_type_has_its_own_seq(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    ping = senders.dispatcher.command("ping", lane=Lane.DISPATCHER)
    await give(desk, senders.quota(1))
    assert said(await give(desk, ping)) == [ACCEPTED, DONE]


async def test_a_command_on_an_untrusted_clock_may_be_sent_again_once_it_is_trusted(
    world: DeskWorld, senders: Senders
) -> None:
    desk = await world.open()
    world.site.trusted = False
    release = senders.command("release_hold")
    assert said(await give(desk, release)) == [("rejected", "clock-untrusted")]
    world.site.trusted = True
    assert said(await give(desk, release)) == [ACCEPTED, DONE]


async def test_an_old_quota_with_other_bytes_is_stale(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    await give(desk, senders.quota(3))
    assert said(await give(desk, senders.quota(3, 20_000_000))) == [("rejected", "stale-revision")]
    assert said(await give(desk, senders.quota(2))) == [("rejected", "stale-revision")]
    assert world.site.of("quota") == [3]


async def test_a_hold_is_done_when_the_meter_shows_it(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    hold = senders.hold(5_000_000)
    assert said(await give(desk, hold)) == [ACCEPTED]
    assert world.site.of("hold") == [Hold(5_000_000, "crane", None)]
    for metered_w in (9_000_000.0, None, 5_000_001.0):
        world.site.metered_w = metered_w
        world.clock.advance(1)
        await desk.tick()
    assert len(world.outlet.answers) == 1
    world.site.metered_w = 5_000_000.0
    await desk.tick()
    await desk.tick()
    assert said(world.outlet.answers) == [ACCEPTED, DONE]
    assert [answer_claims(jws)["status"] for jws in await desk.answers(hold.jti)] == ["accepted", "done"]


async def test_a_hold_that_the_meter_never_shows_fails_and_stays(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    await give(desk, senders.hold(5_000_000))
    world.clock.advance(299)
    await desk.tick()
    assert said(world.outlet.answers) == [ACCEPTED]
    world.clock.advance(1)
    await desk.tick()
    assert said(world.outlet.answers) == [ACCEPTED, ("failed", None)]
    assert "9000000 W" in answer_claims(world.outlet.answers[-1])["detail"]
    assert desk.kept.hold == Hold(5_000_000, "crane", None)


async def test_a_hold_goes_on_waiting_after_a_restart(world: DeskWorld, senders: Senders) -> None:
    await give(await world.open(), senders.hold(5_000_000))
    world.clock.advance(200)
    world.clock.monotonic_s = 5.0
    desk = await world.open()
    await desk.tick()
    told_again = [ACCEPTED, ACCEPTED]
    assert said(world.outlet.answers) == told_again
    world.clock.advance(100)
    await desk.tick()
    assert said(world.outlet.answers) == [*told_again, ("failed", None)]


async def test_a_hold_that_was_replaced_is_not_taken_for_done_after_a_restart(
    world: DeskWorld, senders: Senders
) -> None:
    desk = await world.open()
    first, second = senders.hold(9_500_000), senders.hold(5_000_000)
    await give(desk, first)
    await give(desk, second)
    desk = await world.open()
    await desk.tick()
    assert await words(desk, first) == ["accepted", "failed"]
    assert await words(desk, second) == ["accepted"]


async def test_a_restart_is_done_when_the_device_is_seen_again(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    restart = senders.command("device.restart", {"device": "m-00001"})
    assert said(await give(desk, restart)) == [ACCEPTED]
    world.clock.advance(600)
    await desk.tick()
    world.site.back.add("m-00001")
    await desk.tick()
    assert said(world.outlet.answers) == [ACCEPTED, DONE]
    assert world.site.of("restart") == ["m-00001"]


async def test_a_restart_of_a_device_that_never_comes_back_fails(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    await give(desk, senders.command("device.restart", {"device": "m-00001"}))
    world.clock.advance(899)
    await desk.tick()
    assert said(world.outlet.answers) == [ACCEPTED]
    world.clock.advance(1)
    await desk.tick()
    assert said(world.outlet.answers)[1:] == [("failed", None)]


async def test_a_device_is_not_restarted_a_second_time_by_a_start_of_the_daemon(
    world: DeskWorld, senders: Senders
) -> None:
    restart = senders.command("device.restart", {"device": "m-00001"})
    await give(await world.open(), restart)
    desk = await world.open()
    await desk.tick()
    assert world.site.of("restart") == ["m-00001"]
    assert await words(desk, restart) == ["accepted", "failed"]


async def test_a_flush_is_done_when_everything_is_on_the_disk(world: DeskWorld) -> None:
    desk = await world.open()
    engineer = Sender(KEYS[Role.ENGINEER], SITE, world.clock, CountedUuids())
    first, second = (engineer.command("flush", lane=Lane.ENGINEER) for _ in range(2))
    assert said(await give(desk, first)) == [ACCEPTED]
    desk = await world.open()
    assert world.site.of("flush") == [first.jti, first.jti]
    world.site.jobs_done.add(first.jti)
    await desk.tick()
    assert await words(desk, first) == ["accepted", "done"]
    await give(desk, second)
    world.clock.advance(60)
    await desk.tick()
    assert await words(desk, second) == ["accepted", "failed"]


async def test_a_reload_is_done_when_it_is_gone_by_and_fails_with_what_is_wrong(world: DeskWorld) -> None:
    desk = await world.open()
    engineer = Sender(KEYS[Role.ENGINEER], SITE, world.clock, CountedUuids())
    good, bad, slow, broken_off = (engineer.command("reload", lane=Lane.ENGINEER) for _ in range(4))
    for message in (good, bad, slow):
        assert said(await give(desk, message)) == [ACCEPTED]
    assert world.site.of("reload") == [good.jti, bad.jti, slow.jti]
    world.site.reloads |= {good.jti: [], bad.jti: ["site.toml: mqtt: is missing", "site.toml: x"]}
    await desk.tick()
    assert await words(desk, good) == ["accepted", "done"]
    failed = answer_claims((await desk.answers(bad.jti))[-1])
    assert (failed["status"], failed["detail"]) == ("failed", "site.toml: mqtt: is missing; site.toml: x")
    world.clock.advance(60)
    await desk.tick()
    assert await words(desk, slow) == ["accepted", "failed"]
    # Who starts has read the configuration, however long ago it was asked for.
    await give(desk, broken_off)
    world.clock.advance(100)
    desk = await world.open()
    await desk.tick()
    assert await words(desk, broken_off) == ["accepted", "done"]
    assert world.site.of("reload").count(broken_off.jti) == 1


async def test_where_no_answer_can_be_given_the_word_is(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    hold = senders.hold(5_000_000).jws.encode()
    stranger = PrivateKey.from_seed(b"\x66" * 32, "stranger")
    forged = PrivateKey.from_seed(b"\x66" * 32, "operator-1")
    for payload, word in [
        (b"", "malformed"),
        (b"x.y", "malformed"),
        (hold + b"a" * 17_000, "too-large"),
        (sign(b"{}", "qw-cmd+jws", stranger).encode(), "unknown-key"),
        (sign(b"{}", "qw-cmd+jws", forged).encode(), "bad-signature"),
        # Signed, but without a jti there is nowhere to answer to.
        (signed(b"{}", Lane.OPERATOR, typ="qw-rsp+jws"), "wrong-type"),
        (signed(b"{}", Lane.OPERATOR), "malformed"),
    ]:
        taken = await desk.receive_command(payload)
        assert isinstance(taken, Refused)
        assert taken.reason == word
    answered = await desk.receive_command(hold)
    assert isinstance(answered, list)
    assert said(answered) == [ACCEPTED]


async def test_a_new_hold_replaces_the_old_one(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    await give(desk, senders.hold(5_000_000))
    await give(desk, senders.hold(8_000_000))
    await desk.tick()
    assert said(world.outlet.answers) == [ACCEPTED, ACCEPTED, ("failed", None)]
    assert desk.kept.hold == Hold(8_000_000, "crane", None)


async def test_all_orders_survive_a_restart(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    until = NOW_S + 3600
    await give(desk, senders.quota(3))
    await give(desk, senders.dispatcher.lease(3))
    await give(desk, senders.hold(5_000_000, until=format_utc(until)))
    await give(desk, senders.command("set_limit", {"limit_w": 0}))
    await give(desk, senders.command("device.exclude", {"device": "m-00001", "reason": "fan"}))
    kept = await Kept.load(world.store)
    assert kept == desk.kept == (await world.open()).kept
    assert kept.hold == Hold(5_000_000, "crane", until)
    assert kept.set_limit == OperatorLimit(0, None)
    assert kept.exclusions == {"m-00001": Exclusion("fan", None)}
    assert kept.lease == Lease(3, NOW_S, NOW_S + 300, "boot-1", 1500.0, NOW_S)
    await give(desk, senders.command("release_hold"))
    await give(desk, senders.command("set_limit", {"limit_w": None}))
    await give(desk, senders.command("device.include", {"device": "m-00001"}))
    kept = await Kept.load(world.store)
    assert (kept.hold, kept.set_limit, kept.exclusions) == (None, None, {})
    assert world.site.of("hold")[-1] is None
    assert world.site.of("included") == ["m-00001"]


async def test_a_lease_counts_only_for_the_revision_held(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    for rev in (1, 3):
        assert await give(desk, senders.dispatcher.lease(rev)) == []
    await give(desk, senders.quota(3))
    for rev in (2, 4):
        await give(desk, senders.dispatcher.lease(rev))
    assert world.site.of("lease") == []
    await give(desk, senders.dispatcher.lease(3))
    assert [lease.rev for lease in world.site.of("lease")] == [3]
    assert world.outlet.refusals == []


async def test_a_lease_that_was_delayed_does_not_replace_a_later_one_for_the_next_start(
    world: DeskWorld, senders: Senders
) -> None:
    desk = await world.open()
    await give(desk, senders.quota(3))
    await give(desk, senders.dispatcher.lease(3))
    claims = lease_claims(rev=3, iat=NOW_S - 90, exp=NOW_S + 200, seq=(NOW_S + 9) * 1_000_000)
    await desk.receive(Lane.LEASE, signed(claims, Lane.LEASE))
    assert [lease.iat for lease in world.site.of("lease")] == [NOW_S, NOW_S - 90]
    assert desk.kept.lease is not None
    assert (await Kept.load(world.store)).lease == desk.kept.lease
    assert desk.kept.lease.iat == NOW_S
    world.clock.boot = "boot-2"
    claims |= {"seq": (NOW_S + 10) * 1_000_000}
    await desk.receive(Lane.LEASE, signed(claims, Lane.LEASE))
    assert (desk.kept.lease.boot_id, desk.kept.lease.iat) == ("boot-2", NOW_S - 90)


async def test_a_lease_does_not_count_once_its_quota_has_expired(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    await give(desk, senders.quota(3, exp=NOW_S + 5))
    world.clock.advance(5)
    await give(desk, senders.dispatcher.lease(3))
    assert world.site.of("lease") == []


async def test_a_refused_lease_is_counted_and_never_answered(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    lease = senders.dispatcher.lease(1, life_s=301)
    assert await give(desk, lease) == []
    assert world.outlet.refusals == [("lease", "malformed")]
    assert world.outlet.answers == []


async def test_every_lease_measures_the_clock_once_even_if_it_has_expired(
    world: DeskWorld, senders: Senders
) -> None:
    desk = await world.open()
    world.site.trusted = False
    lease = senders.dispatcher.lease(1, life_s=5)
    world.clock.advance(60)
    for arrived_s in (NOW_S + 60.5, NOW_S + 61.0):
        await desk.receive(Lane.LEASE, lease.jws.encode(), arrived_s=arrived_s)
    assert world.site.of("lease seen") == [(NOW_S, NOW_S + 60.5)]
    assert world.outlet.refusals == [("lease", "expired")] * 2


async def test_a_retained_lease_measures_nothing(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    await give(desk, senders.dispatcher.lease(1), retained=True)
    assert world.site.told == []


async def test_an_empty_message_is_ignored(world: DeskWorld) -> None:
    desk = await world.open()
    assert await desk.receive(Lane.QUOTA, b"", retained=True) == []
    assert world.outlet.refusals == []


async def test_refusals_are_told_at_most_ten_times_a_second(world: DeskWorld) -> None:
    desk = await world.open()
    for _ in range(25):
        await desk.receive(Lane.OPERATOR, b"hello")
    assert len(world.outlet.events) == 10
    assert len(world.outlet.refusals) == 25
    world.clock.advance(1)
    await desk.receive(Lane.OPERATOR, b"hello")
    await desk.receive(Lane.OPERATOR, b"hello")
    assert world.outlet.events[-2] == {
        "ts": format_utc(NOW_S + 1),
        "type": "refused",
        "topic": "cmd/operator",
        "reason": "malformed",
        "kid": None,
        "sha256": jws_hash(b"hello"),
        "suppressed": 15,
    }
    assert "suppressed" not in world.outlet.events[-1]


async def test_what_the_disk_refuses_is_neither_answered_nor_done(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    world.ledger.fails = StoreError("disk full")
    hold = senders.hold(5_000_000)
    with pytest.raises(StoreError):
        await give(desk, hold)
    assert (world.outlet.answers, world.site.told, desk.kept.hold) == ([], [], None)
    world.ledger.fails = None
    assert said(await give(desk, hold)) == [ACCEPTED]


async def test_commands_at_the_same_time_are_taken_one_after_the_other(
    world: DeskWorld, senders: Senders
) -> None:
    desk = await world.open()
    quotas = [senders.quota(rev) for rev in range(1, 6)]
    await asyncio.gather(*(give(desk, quota) for quota in quotas), *(give(desk, quotas[2]) for _ in range(3)))
    assert world.site.of("quota") == [1, 2, 3, 4, 5]
    assert len(world.ledger.bodies) == 5


async def test_a_command_without_a_topic_goes_by_its_keys_role(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    ping = senders.dispatcher.command("ping", lane=Lane.DISPATCHER)
    answers = await desk.receive_command(ping.jws.encode())
    assert isinstance(answers, list)
    assert said(answers) == [ACCEPTED, DONE]
    assert isinstance(await desk.receive_command(b"hello"), Refused)
    assert world.outlet.refusals == [("cmd/operator", "malformed")]


async def test_over_http_too_what_the_disk_refuses_is_not_taken(world: DeskWorld, senders: Senders) -> None:
    view = LocalView(None, await world.open(), None, dict, tuple)  # type: ignore[arg-type] # the desk is all it asks
    hold = senders.hold(1_000_000).jws.encode()
    world.ledger.fails = StoreError("disk full")

    assert await view.command(hold) == CommandOutcome(NO_STORE, None)
    world.ledger.fails = None
    assert (await view.command(hold)).word == "accepted"


async def test_old_messages_are_forgotten_and_still_not_taken_again(
    world: DeskWorld, senders: Senders
) -> None:
    desk = await world.open()
    release = senders.command("release_hold")
    await give(desk, release)
    world.clock.advance(901)
    await desk.tick()
    assert await desk.answers(release.jti) == []
    assert said(await give(desk, release)) == [("rejected", "expired")]
    assert await desk.answers(release.jti) == []


async def test_an_answers_seq_rises_even_if_the_clock_goes_back(world: DeskWorld, senders: Senders) -> None:
    desk = await world.open()
    first = await give(desk, senders.command("ping"))
    world.clock.advance(-5)
    second = await give(desk, senders.command("ping"))
    seqs = [answer_claims(answer)["seq"] for answer in (*first, *second)]
    assert seqs == sorted(set(seqs))


async def test_a_refusal_that_uses_up_a_seq_is_recorded_and_no_other(
    world: DeskWorld, senders: Senders
) -> None:
    desk = await world.open()
    wrong = senders.command("hold", {"limit_w": -1, "reason": "x"})
    for _ in range(3):
        await give(desk, wrong)
    await desk.receive(Lane.OPERATOR, b"hello")
    await desk.receive(Lane.OPERATOR, signed(command_claims(aud="lhe-02"), Lane.OPERATOR))
    (record,) = world.ledger.bodies
    assert record["what"] == "refused"
    assert record["detail"] == {
        "op": "hold",
        "kid": "operator-1",
        "jti": wrong.jti,
        "hash": jws_hash(wrong.jws),
        "reason": "invalid-args",
    }


async def test_a_source_gets_ten_log_lines_a_minute(world: DeskWorld) -> None:
    desk = await world.open()
    with capture_logs() as logs:
        for number in range(200):
            await desk.receive(Lane.OPERATOR, b"hello %d" % number)
            await desk.receive(Lane.QUOTA, signed({"n": number}, Lane.QUOTA))
            stranger = PrivateKey.from_seed(number.to_bytes(32, "big"), f"stranger-{number}")
            await desk.receive(Lane.QUOTA, sign(b"{}", Lane.QUOTA.typ, stranger).encode())
    assert Counter((line["topic"], line["reason"]) for line in logs) == {
        ("cmd/operator", "malformed"): 10,
        ("quota", "malformed"): 10,
        ("quota", "unknown-key"): 10,
    }
    world.clock.advance(60)
    with capture_logs() as logs:
        await desk.receive(Lane.OPERATOR, b"hello")
        await desk.receive(Lane.OPERATOR, b"hello")
    assert [line.get("suppressed") for line in logs] == [190, None]
