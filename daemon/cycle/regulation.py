"""What holds the load back besides its limit: margins, the ramp, what is announced, when it may rise."""

from dataclasses import dataclass

import numpy as np

from daemon.allocation.counting import Look
from daemon.allocation.following import Following
from daemon.allocation.loads import Bools
from daemon.allocation.ramp import ramp_ceiling_w, ramp_lead_w
from daemon.allocation.situation import Ahead, Situation
from daemon.allocation.work import longest_lead_s
from daemon.authority.machine import (
    Authority,
    Moment,
    Policy,
    QuotaTaken,
    Source,
    State,
    Verdict,
    forecast_w,
    steady_for,
)
from daemon.cycle.layout import SiteLayout
from daemon.metering.measuring import Metering
from daemon.metering.site_power import SitePower

_MARGIN = 0.0025
_NOISE_MARGIN = 3.0
_DEADBAND = 0.001
_GRACE_S = 3.0
_AHEAD_S = 1.0


@dataclass(frozen=True, slots=True)
class ControlPolicy:
    """What the configuration says about control."""

    authority: Policy
    ramp_up_w_per_s: float
    settle_s: float
    rise_delay_s: float
    """Fixed per site: how long after room appeared the load begins to rise."""


class Regulation:
    """Turns a verdict and what is measured into the situation that an allocation starts from."""

    def __init__(self, layout: SiteLayout, policy: ControlPolicy, metering: Metering, now: Moment) -> None:
        self.go_by(layout, policy, metering)
        self.limit_changed_s = now.monotonic_s
        """When the limit in force last changed, monotonic."""
        self.settle_until_s = -np.inf
        """Until then a limit that came unannounced may be met; monotonic."""
        self._following = Following()
        self._ceiling_w = 0.0
        self._planned_s: float | None = None
        self._room_since_s: float | None = None
        self._quota_taken_s = -np.inf

    def go_by(self, layout: SiteLayout, policy: ControlPolicy, metering: Metering) -> None:
        """Go by these from now on."""
        self.largest_step_w = float(np.diff(layout.loads.watts, axis=1).max(initial=0.0))
        """Of a single load."""
        self._full_w = float(layout.loads.watts.max(axis=1, initial=0.0).sum())
        self._horizon_s = longest_lead_s(layout.loads) + _AHEAD_S
        self._policy, self._metering = policy, metering

    def told(self, before: Verdict, after: Verdict, event: object, now: Moment) -> None:
        """Somebody with authority has spoken."""
        if isinstance(event, QuotaTaken):
            self._quota_taken_s = now.monotonic_s
        self._changed(before, after, now, announced=False)

    def ticked(self, before: Verdict, after: Verdict, now: Moment) -> None:
        """Time has passed."""
        if after.limit_w != before.limit_w:
            self._changed(before, after, now, announced=self._was_announced(after, now))

    def _changed(self, before: Verdict, after: Verdict, now: Moment, *, announced: bool) -> None:
        if after.limit_w < before.limit_w and not announced:
            self.settle_until_s = now.monotonic_s + self._policy.settle_s
        if after.limit_w != before.limit_w:
            self.limit_changed_s = now.monotonic_s
        if after.limit_w > before.limit_w:
            self._room_since_s = now.monotonic_s

    def _was_announced(self, verdict: Verdict, now: Moment) -> bool:
        """Whether a limit that time alone brought was known a settling window before."""
        if verdict.source is Source.FAILSAFE and verdict.authority.state is State.FAILSAFE:
            return True
        return now.monotonic_s - self._quota_taken_s >= self._policy.settle_s

    @property
    def uncontrolled_w(self) -> float:
        """What nobody controls, and the cooling, but for what counts among the loads already."""
        metering = self._metering
        return (metering.uncontrolled_w or 0.0) + metering.cooling_w - metering.joining.watts

    def situation(
        self,
        verdict: Verdict,
        look: Look,
        excluded: Bools,
        power: SitePower,
        now: Moment,
        sparing: Bools | None = None,
    ) -> Situation:
        """What the allocation of a cycle starts from; `sparing` as in `Situation`."""
        now_s, limit_w, rate_w_per_s = now.monotonic_s, float(verdict.limit_w), self._policy.ramp_up_w_per_s
        draw_w = look.loads_w + self.uncontrolled_w
        dt_s = 0.0 if self._planned_s is None else max(now_s - self._planned_s, 0.0)
        self._ceiling_w = ramp_ceiling_w(
            self._ceiling_w, limit_w, draw_w, rate_w_per_s, dt_s, self.largest_step_w
        )
        self._planned_s = now_s
        cooling_w = self._metering.cooling_w if self._metering.cooling_known else None
        if self._metering.joining.lasts:
            # It was learned of other loads. The new ones are cooled already.
            self._following = Following()
        else:
            self._following = self._following.looked(cooling_w, self._metering.drawn_w, self._full_w, now_s)
        return self._situation(
            limit_w,
            look,
            excluded,
            power,
            deadline_s=max(self.settle_until_s, now_s + _GRACE_S),
            ceiling_w=self._ceiling_w,
            may_rise=self._may_rise(verdict.authority, power, now),
            ahead=self._ahead(verdict, now),
            at_once_w=ramp_lead_w(rate_w_per_s, self.largest_step_w),
            sparing=sparing,
        )

    def unhindered(self, limit_w: float, look: Look, excluded: Bools, power: SitePower) -> Situation:
        """A limit that is to be met within the settling window, with nothing else in the way."""
        return self._situation(
            limit_w,
            look,
            excluded,
            power,
            deadline_s=look.now_s + self._policy.settle_s,
            ceiling_w=limit_w,
            may_rise=True,
        )

    def _situation(
        self,
        limit_w: float,
        look: Look,
        excluded: Bools,
        power: SitePower,
        *,
        deadline_s: float,
        ceiling_w: float,
        may_rise: bool,
        ahead: tuple[Ahead, ...] = (),
        at_once_w: float = 0.0,
        sparing: Bools | None = None,
    ) -> Situation:
        # From the meter's noise; wider while something else stands in for it.
        margin_w = (_MARGIN + power.extra_margin) * limit_w
        margin_w += _NOISE_MARGIN * self._metering.residual.noise_w
        return Situation(
            now_s=look.now_s,
            measured_w=look.measured_w,
            excluded=excluded,
            limit_w=limit_w,
            deadline_s=deadline_s,
            uncontrolled_w=self.uncontrolled_w,
            margin_w=margin_w,
            deadband_w=_DEADBAND * limit_w,
            ceiling_w=ceiling_w,
            may_rise=may_rise,
            ahead=ahead,
            cooling_w=self._metering.cooling_w,
            follows=self._following.share or 0.0,
            at_once_w=at_once_w,
            sparing=sparing,
        )

    def _may_rise(self, authority: Authority, power: SitePower, now: Moment) -> bool:
        """Nothing rises on silence, on a doubtful meter, or before the site's own delay."""
        commanded = authority.state in {State.CONTROLLED, State.LIMITED}
        if not (commanded and power.may_rise and not self._metering.joining.lasts):
            self._room_since_s = None
            return False
        if self._room_since_s is None:
            self._room_since_s = now.monotonic_s
        return now.monotonic_s - self._room_since_s >= self._policy.rise_delay_s

    def _ahead(self, verdict: Verdict, now: Moment) -> tuple[Ahead, ...]:
        """Lower limits that are known to come within the slowest load's latency."""
        authority, policy = verdict.authority, self._policy.authority
        if steady_for(authority, now, self._horizon_s):
            return ()
        lowest_w, ahead = verdict.limit_w, []
        for in_s in range(1, int(self._horizon_s) + 1):
            limit_w = forecast_w(authority, now, policy, in_s)
            if limit_w < lowest_w:
                ahead.append(Ahead(float(in_s), float(limit_w)))
                lowest_w = limit_w
        return tuple(ahead)
