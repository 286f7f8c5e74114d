"""Whatever happens in whatever order: the limit stays below each of its parts, and silence lifts nothing."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from daemon.authority.machine import Cause, KeysTrusted, Ramp, State, Verdict
from daemon.authority.schedule import entry_at
from daemon.commands.orders import Hold, OperatorLimit
from tests.world.authority_bench import MW, POLICY, AuthorityBench

CONTRACT_W, FAILSAFE_W = POLICY.contract_max_w, POLICY.failsafe_w
RAMP_S = POLICY.failsafe_offset_s + POLICY.failsafe_ramp_s

watts = st.one_of(st.sampled_from([0, MW, FAILSAFE_W, CONTRACT_W]), st.integers(0, 30 * MW))
limits = st.one_of(st.none(), watts)
spans_s = st.one_of(st.none(), st.integers(1, 900))
steps = st.lists(st.tuples(st.integers(1, 300), limits), min_size=1, max_size=4)


def scheduled_w(verdict: Verdict, wall_s: float) -> int:
    """What the stored schedule says of now; the failsafe limit where it says nothing."""
    entry = entry_at(verdict.authority.quota, wall_s)
    if entry is None:
        return FAILSAFE_W
    return CONTRACT_W if entry.limit_w is None else min(entry.limit_w, CONTRACT_W)


class AuthorityMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bench = AuthorityBench()
        self.before_w = self.bench.limit_w
        self.ramping_s = 0.0
        self.started = True
        """Nothing but the start has happened since the last start."""
        self.ended: list[Hold | OperatorLimit] = []
        """Overlays that were seen to be over on a clock that could be believed."""
        self.revoked = False
        self.lost_s = 0
        self.back_s = 0
        self.meter_lost = False

    def _happened(self) -> None:
        """After one event: no rise without a clock to believe and a disk to write to."""
        bench = self.bench
        self.started = False
        if bench.authority.clock.trusted:
            self.ended += [overlay for overlay in self._overlays() if not self._stands(overlay)]
        if bench.limit_w > self.before_w:
            assert bench.authority.clock.trusted
            assert bench.authority.records_writable
            if not bench.authority.fresh(bench.monotonic_s) and bench.state is not State.INIT:
                assert bench.limit_w <= FAILSAFE_W
        self.before_w = bench.limit_w

    @rule(seconds=st.sampled_from([1, 5, 30, 130, 400]))
    def time_passes(self, seconds: int) -> None:
        for _ in range(seconds):
            was_init = self.bench.state is State.INIT
            was_ramping = self.bench.state is State.FAILSAFE
            self.bench.run(1)
            self._meter_seen()
            self._happened()
            is_ramping = self.bench.state is State.FAILSAFE
            assert was_init or self.bench.state is not State.INIT
            self.ramping_s = self.ramping_s + 1 if was_ramping and is_ramping else 0.0
            self.below_each_part()

    def _overlays(self) -> list[Hold | OperatorLimit]:
        """As they are kept on disk."""
        return [overlay for overlay in (self.bench.kept_hold, self.bench.kept_limit) if overlay is not None]

    def _stands(self, overlay: Hold | OperatorLimit) -> bool:
        return overlay.until is None or self.bench.wall_s < overlay.until

    def _meter_seen(self) -> None:
        """The meter's cause, told over again: lost after 300 s, back after 60 s."""
        if self.bench.meter:
            self.lost_s, self.back_s = 0, self.back_s + 1
        else:
            self.lost_s, self.back_s = self.lost_s + 1, 0
        if self.lost_s > 300:
            self.meter_lost = True
        if self.back_s > 60:
            self.meter_lost = False

    @rule(limits_w=steps, from_s=st.integers(-20, 60), last_s=st.integers(100, 2000))
    def quota(self, limits_w: list[tuple[int, int | None]], from_s: int, last_s: int) -> None:
        at_s, course = from_s, []
        for span_s, limit_w in limits_w:
            course.append((at_s, limit_w))
            at_s += span_s
        self.bench.quota(*course, last_s=last_s)
        self.revoked = False
        self._happened()

    @rule(late_s=st.sampled_from([0, 0, 0, 3, 15, 119, 200]), other_rev=st.sampled_from([0, 0, 0, 1, -1]))
    def lease(self, late_s: int, other_rev: int) -> None:
        self.bench.lease(self.bench.rev + other_rev, sent_s_ago=late_s)
        self._happened()

    @rule(leasing=st.booleans())
    def leases_come_or_not(self, leasing: bool) -> None:  # noqa: FBT001 - hypothesis names it
        self.bench.leasing = leasing

    @rule(limit_w=watts, until_s=spans_s)
    def hold(self, limit_w: int, until_s: int | None) -> None:
        self.bench.hold(limit_w, until_s)
        self._happened()

    @rule(limit_w=watts, until_s=spans_s)
    def set_limit(self, limit_w: int, until_s: int | None) -> None:
        self.bench.set_limit(limit_w, until_s)
        self._happened()

    @rule()
    def release_hold(self) -> None:
        self.bench.release_hold()
        self._happened()

    @rule()
    def remove_limit(self) -> None:
        self.bench.remove_limit()
        self._happened()

    @rule(meter=st.booleans(), writable=st.booleans())
    def meter_and_disk(self, meter: bool, writable: bool) -> None:  # noqa: FBT001 - hypothesis names them
        self.bench.meter, self.bench.writable = meter, writable

    @rule(step_s=st.sampled_from([-4000, -3, 3, 4000]))
    def wall_clock_steps(self, step_s: int) -> None:
        self.bench.wall_s += step_s
        self.bench.tick()
        self._happened()

    @rule(kids=st.sampled_from([frozenset({"dispatch-1"}), frozenset({"dispatch-2"})]))
    def keys(self, kids: frozenset[str]) -> None:
        self.bench.tell(KeysTrusted(kids))
        if self.bench.authority.quota is not None and "dispatch-1" not in kids:
            self.revoked = True
        self._happened()

    @rule(
        after_s=st.sampled_from([2, 30, 500]), reboot=st.booleans(), step_s=st.sampled_from([0, 0, -900, 900])
    )
    def restart(self, after_s: int, reboot: bool, step_s: int) -> None:  # noqa: FBT001 - hypothesis names it
        before, before_w = self.bench.authority, self.bench.limit_w
        left_s = (before.fresh_until_s or 0.0) - self.bench.monotonic_s - after_s
        self.bench.restart(after_s=after_s, reboot=reboot, wall_step_s=step_s)
        assert self.bench.limit_w <= before_w
        # The lease that the desk stored may be an older one; the last one that came counts here.
        if left_s > 0 and not reboot and before.causes <= {Cause.METER} and before.state is not State.INIT:
            assert self.bench.limit_w == min(before_w, self._beneath(before.ramp))
        self.before_w = self.bench.limit_w
        self.ramping_s, self.lost_s, self.back_s = 0.0, 0, 0
        self.started = True

    def _beneath(self, ramp: Ramp | None) -> int:
        """What is in force now by the parts that were stored."""
        bench = self.bench
        found = [scheduled_w(bench.verdict, bench.wall_s)]
        if ramp is not None:
            entry = entry_at(bench.authority.quota, bench.wall_s)
            found = [ramp.limit_w(FAILSAFE_W, bench.monotonic_s)]
            found += [CONTRACT_W if entry is None else scheduled_w(bench.verdict, bench.wall_s)]
        return min([*found, *(overlay.limit_w for overlay in self._overlays() if self._stands(overlay))])

    @invariant()
    def below_each_part(self) -> None:
        bench = self.bench
        assert 0 <= bench.limit_w <= CONTRACT_W
        for overlay in self._overlays():
            # A clock that is set back afterwards does not bring one back.
            if self._stands(overlay) and not any(overlay is ended for ended in self.ended):
                assert bench.limit_w <= overlay.limit_w
        quota_w = scheduled_w(bench.verdict, bench.wall_s)
        if entry_at(bench.authority.quota, bench.wall_s) is not None:
            assert bench.limit_w <= quota_w
        match bench.state:
            case State.INIT:
                assert bench.limit_w <= FAILSAFE_W
            case State.LIMITED:
                assert bench.limit_w <= quota_w
                assert bench.authority.fresh(bench.monotonic_s)
            case State.CONTROLLED:
                assert bench.authority.fresh(bench.monotonic_s)
            case State.FAILSAFE:
                assert bench.authority.causes
                if self.ramping_s > RAMP_S:
                    assert bench.limit_w <= FAILSAFE_W

    @invariant()
    def outside_failsafe_no_cause_stands(self) -> None:
        if self.bench.state is not State.FAILSAFE:
            assert not self.bench.causes

    @invariant()
    def a_cause_stands_until_its_own_end_whatever_else_happens(self) -> None:
        if self.started:
            return
        if self.revoked:
            assert Cause.TRUST in self.bench.causes
        if self.meter_lost:
            assert Cause.METER in self.bench.causes
        if self.bench.state not in {State.FAILSAFE, State.INIT}:
            assert self.bench.authority.fresh(self.bench.monotonic_s)

    @invariant()
    def zero_is_a_limit(self) -> None:
        if any(overlay.limit_w == 0 and overlay.until is None for overlay in self._overlays()):
            assert self.bench.limit_w == 0

    @invariant()
    def what_is_told_is_what_was_decided(self) -> None:
        verdict = self.bench.verdict
        assert (verdict.limit_w, verdict.source) == (
            verdict.authority.last_limit_w,
            verdict.authority.last_source,
        )


TestAuthority = AuthorityMachine.TestCase
TestAuthority.settings = settings(max_examples=150, stateful_step_count=25)
