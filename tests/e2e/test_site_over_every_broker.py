"""The whole site over real sockets, with every broker and every version of MQTT: the real daemon obeys."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from daemon.commands.words import Role
from tests.world.brokers import BROKERS, BrokerKind
from tests.world.finished import Finished
from tests.world.mqtt import until
from tests.world.real_site import INTERVAL_S, LEASE_TIMEOUT_S, METER_CLASS, SETTLE_S, RealSite

pytestmark = pytest.mark.timeout(120)  # seconds of real time, and a wait for a whole interval

QUOTA, HOLD, FAILSAFE = 0.6, 0.35, 0.4
RAMP_S = 4


@pytest.fixture(params=BROKERS, ids=str)
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RealSite]:
    kind: BrokerKind = request.param
    async with (
        kind.running(tmp_path) as broker,
        RealSite(tmp_path, broker, control={"failsafe_ramp_s": RAMP_S}) as started,
    ):
        yield started


async def test_a_site_obeys_answers_survives_and_settles(site: RealSite) -> None:
    await _finds_a_quota(site)
    await asyncio.gather(_comes_down(site), _answers_commands(site))
    assert site.was_true(site.dispatch.state["power_w"])
    await _holds_and_lets_go(site)
    await _is_missed_and_comes_back(site)
    await _falls_to_failsafe(site)
    await _has_settled(site)


async def _finds_a_quota(site: RealSite) -> None:
    """Released by a quota that waits at the broker: taken as soon as somebody leases it, and answered."""
    dispatch = site.dispatch
    signed = await dispatch.quota((0, None))
    await site.daemon.start()
    assert await dispatch.answered(signed) == ["accepted", "done"]
    state = await dispatch.state_like(quota_rev=1)
    assert (state["state"], state["limit_w"]) == ("init", site.share_w(FAILSAFE))
    dispatch.leasing = True
    await dispatch.state_like(state="controlled", limit_source="contract", limit_w=site.share_w(1.1))
    await site.true_power(lambda watts: watts > 0.9 * site.full_w, within_s=15.0, steady_s=1.0)
    await dispatch.state_where(lambda state: state["devices"]["ok"] == state["devices"]["total"] == 16)
    await _is_retained(site)


async def _comes_down(site: RealSite) -> None:
    dispatch, quota_w, sent_s = site.dispatch, site.share_w(QUOTA), site.now_s()
    signed = await dispatch.quota((0, quota_w))
    assert await dispatch.answered(signed, within_s=2.0) == ["accepted", "done"]
    await dispatch.state_like(
        state="limited", limit_w=quota_w, limit_source="quota", quota_rev=2, within_s=2.0
    )
    await site.true_power_at_most(quota_w, within_s=sent_s + SETTLE_S + 1 - site.now_s(), steady_s=1.0)


async def _answers_commands(site: RealSite) -> None:
    pinged, planned, denied = await asyncio.gather(
        site.send("cmd", "ping", role=Role.DISPATCHER),
        site.send("cmd", "plan", "--args", json.dumps({"limit_w": 0})),
        site.send("cmd", "hold", "--args", json.dumps({"limit_w": 0, "reason": "x"}), role=Role.DISPATCHER),
    )
    assert _result(pinged)["boot"] == site.dispatch.state["boot"]
    plan = _result(planned)
    assert plan["loads"]["off"] == sum(plan["loads"].values()) == 13
    assert plan["lowest_w"] > 0
    assert not plan["reached"]
    assert denied.code == 77
    assert json.loads(denied.out)["reason"] == "role-denied"
    assert site.dispatch.state["hold"] is None


async def _holds_and_lets_go(site: RealSite) -> None:
    """Done = the meter has seen it, and the plant's truth agrees."""
    dispatch, hold_w = site.dispatch, site.share_w(HOLD)
    assert site.plant.truth.true_power_w > hold_w
    order = {"limit_w": hold_w, "reason": "work on the feeder"}
    held = await site.send("cmd", "hold", "--args", json.dumps(order))
    assert _answer(held) == {"status": "done", "verified": True}
    assert site.plant.truth.true_power_w <= hold_w * (1 + METER_CLASS)
    state = await dispatch.state_like(limit_w=hold_w, limit_source="hold", within_s=2.0)
    assert state["hold"] == {**order, "until": None}
    assert state["state"] == "limited"
    released = await site.send("cmd", "release_hold")
    assert _answer(released) == {"status": "done", "verified": True}
    await dispatch.state_like(limit_w=site.share_w(QUOTA), limit_source="quota", hold=None, within_s=2.0)


async def _is_missed_and_comes_back(site: RealSite) -> None:
    dispatch, before = site.dispatch, site.dispatch.state
    await site.daemon.kill()
    offline = await dispatch.state_like(online=False, within_s=5.0)
    assert offline == {"ts": offline["ts"], "online": False, "boot": before["boot"]}
    assert await _retained(site) == offline
    await site.daemon.start()
    after = await dispatch.state_like(online=True, within_s=10.0)
    assert after["boot"] != before["boot"]
    assert after["limit_w"] == before["limit_w"]
    assert (after["state"], after["quota_rev"]) == ("limited", 2)


async def _falls_to_failsafe(site: RealSite) -> None:
    dispatch, quota_w, failsafe_w = site.dispatch, site.share_w(QUOTA), site.share_w(FAILSAFE)
    dispatch.leasing = False
    silent_s = site.now_s()
    await dispatch.state_like(state="failsafe", limit_source="failsafe", within_s=LEASE_TIMEOUT_S + 5)
    # From the `iat` of the last lease, which was up to a second old and is in whole seconds.
    assert LEASE_TIMEOUT_S - 2 < site.now_s() - silent_s < LEASE_TIMEOUT_S + 2
    await until(lambda: any(event.get("alarm") == "lease" for event in dispatch.events), within_s=2.0)
    await dispatch.state_like(limit_w=failsafe_w, within_s=15.0)
    limits = [state["limit_w"] for at_s, state in dispatch.states if at_s > silent_s]
    assert limits == sorted(limits, reverse=True)
    assert any(failsafe_w < limit_w < quota_w for limit_w in limits), "not by ramp"
    await site.true_power_at_most(failsafe_w, within_s=6.0, steady_s=1.0)


async def _has_settled(site: RealSite) -> None:
    # After the restart the grid may leave only parts of intervals until now: wait for a whole one.
    async with asyncio.timeout(2 * INTERVAL_S + 5):
        while not site.book.intervals():  # noqa: ASYNC110 - the exchange's book has no event to wait for
            await asyncio.sleep(0.2)
    ended_s = site.now_s() // INTERVAL_S * INTERVAL_S - INTERVAL_S
    await site.book.holds(ended_s, within_s=5.0)
    assert await site.daemon.stop() == 0
    assert (await site.dispatch.state_like(online=False, within_s=2.0))["boot"]
    site.book.assert_unbroken(INTERVAL_S)
    site.book.assert_energy(site.plant.history)
    assert site.book.intervals()
    assert not site.daemon.strays()


async def _is_retained(site: RealSite) -> None:
    """Who comes now is told what was said before, unless something new is said in that very moment."""
    for _ in range(5):
        said = [state for _, state in site.dispatch.states]
        if await _retained(site) in said:
            return
    pytest.fail("the state is not retained")


async def _retained(site: RealSite) -> dict[str, Any]:
    """What somebody who comes now is told of the site's state."""
    version = site.broker.version
    async with aiomqtt.Client("127.0.0.1", site.broker.port, protocol=version) as late:
        await late.subscribe(site.dispatch.topics.state, qos=1)
        async with asyncio.timeout(3):
            message = await anext(late.messages)
    state: dict[str, Any] = json.loads(bytes(message.payload))
    return state


def _answer(sent: Finished) -> dict[str, Any]:
    assert sent.code == 0, sent
    said: dict[str, Any] = json.loads(sent.out)
    said.pop("jti")
    said.pop("result", None)
    return said


def _result(sent: Finished) -> dict[str, Any]:
    assert sent.code == 0, sent
    said = json.loads(sent.out)
    assert (said["status"], said["verified"]) == ("done", True)
    result: dict[str, Any] = said["result"]
    return result
