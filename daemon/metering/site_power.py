"""Site power: the revenue meter, and what stands in for it when it cannot be relied upon."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from daemon.metering.cover import Cover
from daemon.metering.meter_judge import Doubt, MeterRecord


class PowerSource(StrEnum):
    """Where the site's power figure comes from."""

    METER = "meter"
    CHECK_METER = "check-meter"
    """A check meter, or PDUs and circuit meters that cover the load."""
    ESTIMATE = "estimate"
    NAMEPLATE = "nameplate"
    NONE = "none"


CHECK_MARGIN = 0.005
"""Of the limit, further below it: a check meter is not the one that is settled by."""
COVER_AGE_S = 6.0
"""The figures of meters inside the site are no older, or they are not used."""
COVER_MARGIN = 0.015
"""The same for meters inside the site: a tenth of the load and all losses are estimated."""


@dataclass(frozen=True, slots=True)
class SitePower:
    """The site's power as of a cycle."""

    watts: float | None
    source: PowerSource
    age_s: float
    """Of the figure, or of the revenue meter's last one if it is an estimate."""
    doubt: Doubt | None = None
    """Why the revenue meter is not relied upon."""
    stand_in: str | None = None
    """What stands in for it, if anything does."""
    extra_margin: float = 0.0
    """Share of the limit to stay further below it."""
    unsure: bool = False
    """The figure is shown, but is being looked into: nothing is learned from it and nothing rises."""
    meter_fresh: bool = True
    """The reading of now is beyond suspicion."""

    @property
    def trusted(self) -> bool:
        """Measured now: the loop is closed."""
        return self.source in {PowerSource.METER, PowerSource.CHECK_METER}

    @property
    def may_rise(self) -> bool:
        """Whether the load may rise on it."""
        return self.trusted and not self.unsure


@dataclass(frozen=True, slots=True)
class SiteKnowledge:
    """What is known of the site's power besides its meters."""

    counted_w: float
    """Σ of what the loads count at, and the cooling."""
    known_w: float
    """The same, but each load as measured where it is."""
    uncontrolled_w: float | None
    """What was learned while a meter was trusted."""
    last_metered_w: float | None
    """The last figure of a meter that was trusted."""
    cover: Cover


def measure_site(
    meters: Sequence[MeterRecord], names: Sequence[str], know: SiteKnowledge, now_s: float
) -> SitePower:
    """The site's power, from the best that there is.

    Args:
        meters: the revenue meter, then the check meters.
        names: theirs.
        know: what else is known.
        now_s: monotonic.
    """
    doubt = meters[0].doubt if meters else Doubt.LOST
    for index, (meter, name) in enumerate(zip(meters, names, strict=True)):
        reading = meter.reading
        if not meter.trusted or reading is None:
            continue
        stands_in = index > 0
        return SitePower(
            watts=reading.power_w,
            source=PowerSource.CHECK_METER if stands_in else PowerSource.METER,
            age_s=now_s - reading.sampled_s,
            doubt=doubt if stands_in else None,
            stand_in=name if stands_in else None,
            extra_margin=CHECK_MARGIN if stands_in else 0.0,
            unsure=meter.unsure,
            meter_fresh=meter.fresh,
        )
    fresh = any(meter.fresh for meter in meters)
    age_s = _age_s(meters, now_s)
    if know.uncontrolled_w is not None and know.cover.enough:
        return SitePower(
            watts=know.known_w + know.uncontrolled_w + know.cover.correction_w,
            source=PowerSource.CHECK_METER,
            age_s=COVER_AGE_S,
            doubt=doubt,
            stand_in=f"meters inside the site, which cover {know.cover.share:.0%} of its load",
            extra_margin=COVER_MARGIN,
        )
    if know.uncontrolled_w is None:
        return SitePower(know.counted_w, PowerSource.NAMEPLATE, age_s, doubt, meter_fresh=fresh)
    # Orders may not have worked: without a meter nothing shows that the site draws less than it did.
    shown_w = max(know.last_metered_w or 0.0, know.counted_w + know.uncontrolled_w)
    return SitePower(shown_w, PowerSource.ESTIMATE, age_s, doubt, meter_fresh=fresh)


def _age_s(meters: Sequence[MeterRecord], now_s: float) -> float:
    sampled_s = [meter.reading.sampled_s for meter in meters if meter.reading is not None]
    return now_s - max(sampled_s, default=-np.inf)
