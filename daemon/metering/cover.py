"""The site's power from the meters inside it, when the one at its connection cannot be relied upon."""

from dataclasses import dataclass

import numpy as np

from daemon.allocation.loads import Bools
from daemon.metering.feeds import Feeds
from daemon.metering.instruments import CircuitMeter
from daemon.table.carrying import Origin, carry
from daemon.table.table import Floats

ENOUGH = 0.9
"""Of the loads' nameplates: so much has to be metered for the rest to be taken as estimated."""
_LEARN_S = 30.0
_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Cover:
    """What the meters inside the site see of its loads."""

    share: float
    """Of the loads' nameplates."""
    correction_w: float
    """What they see beyond the loads' own figures."""

    @property
    def enough(self) -> bool:
        """Whether they may stand in for the site meter."""
        return self.share >= ENOUGH


class CoverWatch:
    """Learns what circuits' meters see beyond their loads (fans, losses) while the site is metered."""

    def __init__(self, feeds: Feeds, circuit_meters: tuple[CircuitMeter, ...], nameplate_w: Floats) -> None:
        self._feeds = feeds
        self._circuit_meters = circuit_meters
        self._nameplate_w = nameplate_w
        self._beyond_w = np.full(len(circuit_meters), np.nan)
        self._learned_s = -np.inf

    def take_over(self, before: "CoverWatch", meters: Origin) -> None:
        """Go on with what was learned with the circuits' meters that are where they were."""
        carry(before, self, ("_beyond_w",), meters)
        self._learned_s = before._learned_s  # noqa: SLF001  of the same class

    def learn(self, power_w: Floats, known_w: Floats, now_s: float) -> None:
        """While the site meter is trusted; `power_w` by row, `known_w` by load."""
        passed_s = now_s - self._learned_s
        if passed_s < _EVERY_S:
            return
        self._learned_s = now_s
        share = min(1.0, passed_s / _LEARN_S)
        for index, meter in enumerate(self._circuit_meters):
            raw_w = power_w[meter.row] - float(known_w[meter.inside].sum())
            if np.isfinite(raw_w):
                before_w = self._beyond_w[index]
                self._beyond_w[index] = raw_w if np.isnan(before_w) else before_w + share * (raw_w - before_w)

    def look(self, power_w: Floats, known_w: Floats) -> Cover:
        """What is covered now; `power_w` by row (NaN = not fresh), `known_w` by load."""
        covered: Bools = np.zeros(len(known_w), dtype=np.bool_)
        correction_w = 0.0
        for index, meter in enumerate(self._circuit_meters):
            # What lies below a circuit that is metered as a whole is seen already.
            if not np.isfinite(power_w[meter.row]) or bool((covered & meter.inside).any()):
                continue
            covered |= meter.inside
            beyond_w = self._beyond_w[index]
            if np.isfinite(beyond_w):
                correction_w += float(power_w[meter.row] - known_w[meter.inside].sum() - beyond_w)
        if len(self._feeds):
            correction_w += self._by_pdus(power_w, known_w, covered)
        total_w = float(self._nameplate_w.sum())
        share = float(self._nameplate_w[covered].sum()) / total_w if total_w > 0 else 0.0
        return Cover(share, correction_w)

    def _by_pdus(self, power_w: Floats, known_w: Floats, covered: Bools) -> float:
        """Adds the loads of the PDUs that no circuit's meter covers; returns what those see beyond them."""
        feeds = self._feeds
        others_w = np.bincount(feeds.other_pdu, weights=power_w[feeds.other_rows], minlength=len(feeds))
        rest_w = power_w[feeds.rows] - others_w - feeds.totals(known_w)
        usable = np.isfinite(rest_w) & (feeds.totals(covered.astype(np.float64)) == 0)
        covered |= feeds.of_loads(usable.astype(np.float64), 0.0) > 0
        return float(rest_w[usable].sum())
