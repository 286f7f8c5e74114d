"""What the PDUs say of the loads that hang on them.

A PDU is metered by itself, a load by its own maker: where the two differ, the PDU's figure counts. The
site table has a PDU's total, not its outlets, so the difference is laid to those who stand out: loads whose
own reading is far from what their operating point draws, by as much as the PDU confirms. If nobody stands
out, all share the difference.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from daemon.allocation.loads import Bools, Ints
from daemon.table.carrying import Origin, carry
from daemon.table.table import Floats

STANDS_OUT = 0.12
"""Share of an operating point's power that a reading may be away by: units differ by 5 %, readings by 3 %."""
_STANDS_OUT_W = 60.0
CONFIRMS = 0.5
"""The PDU sees at least this share of what is missing: else the load draws what it says."""
DIFFERS = 0.05
_DIFFERS_W = 100.0
"""Loads and PDU together may be wrong by this share of the PDU's total and so many W."""
LASTS_S = 30.0
"""Loads and PDU are read at different moments: only a difference that lasts counts, two polls longer."""
_LARGEST = 3.0
"""A reading is corrected by no more than this factor."""
_MOST_UNREAD = 0.5
_CORRECTED = 0.05
"""A reading that is corrected by more is told of."""


@dataclass(frozen=True, slots=True)
class Feeds:
    """Which load hangs on which PDU."""

    rows: Ints
    """(PDUs,): in the site table."""
    pdu: Ints
    """(loads,): index of its PDU; −1 = on none that is known."""
    other_rows: Ints
    """Rows of what else hangs on them."""
    other_pdu: Ints

    # Asked for many times in every cycle:
    _on_one: Bools = field(init=False, repr=False)
    """(loads,): hangs on a PDU that is known."""
    _all: bool = field(init=False, repr=False)
    """All do."""
    _fed: Ints = field(init=False, repr=False)
    """Indices of the loads that do."""
    _their_pdu: Ints = field(init=False, repr=False)
    """Of these."""
    _place: Ints = field(init=False, repr=False)
    """(loads,): index of its PDU, of some PDU where there is none."""

    def __post_init__(self) -> None:
        set_once = object.__setattr__
        set_once(self, "_on_one", self.pdu >= 0)
        set_once(self, "_all", bool(self._on_one.all()))
        set_once(self, "_fed", self._on_one.nonzero()[0])
        set_once(self, "_their_pdu", self.pdu[self._fed])
        set_once(self, "_place", np.maximum(self.pdu, 0))

    def __len__(self) -> int:
        return len(self.rows)

    def totals(self, values: Floats) -> Floats:
        """(PDUs,): sums over the loads."""
        weights = values if self._all else values.take(self._fed)
        # Without a single load numpy counts in integers.
        return np.bincount(self._their_pdu, weights, len(self)).astype(np.float64, copy=False)

    def of_loads(self, values: Floats, absent: float) -> Floats:
        """(loads,): the value of each load's PDU."""
        if not len(self):
            return np.full(len(self.pdu), absent)
        theirs: Floats = values.take(self._place)
        return theirs if self._all else np.where(self._on_one, theirs, absent)


@dataclass(frozen=True, slots=True)
class FedPower:
    """What the loads draw once their PDUs were asked."""

    power_w: Floats
    """(loads,): NaN = not measured."""
    by_pdu: Bools
    """(loads,): the PDU's figure counts, not the load's own."""


class FeedWatch:
    """Compares loads with their PDUs and remembers whose readings are wrong, and by how much."""

    def __init__(self, feeds: Feeds, period_s: float = 0.0) -> None:
        """Loads and PDUs are read at least every `period_s`."""
        self._feeds = feeds
        self._lasts_s = LASTS_S + 2 * period_s
        loads = len(feeds.pdu)
        self.factor = np.ones(loads)
        """(loads,): what a load draws, relative to what it says."""
        self.difference_w = np.zeros(len(feeds))
        """(PDUs,): its total − what its loads draw by their corrected readings; 0 = within the tolerance."""
        self._lies_s = np.full(loads, np.inf)
        self._suspects = False
        self._differs_s = np.full(len(feeds), np.inf)

    def take_over(self, before: "FeedWatch", loads: Origin, pdus: Origin) -> None:
        """Go on with what was found out of those who were there already."""
        carry(before, self, ("factor", "_lies_s"), loads)
        carry(before, self, ("_differs_s",), pdus)
        self._suspects = bool(np.isfinite(self._lies_s).any())

    @property
    def lying(self) -> Ints:
        """Loads whose own reading is not used as it is."""
        return (np.abs(self.factor - 1.0) > _CORRECTED).nonzero()[0]

    def look(
        self,
        own_w: Floats,
        pdu_w: Floats,
        other_w: Floats,
        expected: Callable[[], Floats],
        nameplate_w: Floats,
        now_s: float,
    ) -> FedPower:
        """What the loads draw.

        Args:
            own_w: (loads,) their own readings; NaN = none.
            pdu_w: (PDUs,) totals; NaN = none.
            other_w: what else hangs on PDUs, by `Feeds.other_rows`; NaN = not measured.
            expected: gives (loads,) what each draws at its operating point by its profile; NaN = not known,
                as shortly after an order.
            nameplate_w: (loads,) what each draws about, for those that show nothing and are not known either.
            now_s: monotonic.
        """
        feeds = self._feeds
        corrected_w = own_w * self.factor
        if not len(feeds) or not np.count_nonzero(np.isfinite(pdu_w)):
            self.difference_w = np.zeros(len(feeds))
            return FedPower(corrected_w, (self.factor != 1.0) & ~np.isnan(corrected_w))
        for_loads_w, expected_w = pdu_w, expected()
        if len(feeds.other_rows):
            for_loads_w = pdu_w - np.bincount(feeds.other_pdu, weights=other_w, minlength=len(feeds))
        unread = np.isnan(corrected_w)
        any_unread = bool(np.count_nonzero(unread))
        read_w = np.where(unread, 0.0, corrected_w) if any_unread else corrected_w
        rest_w = for_loads_w - feeds.totals(read_w)
        missing_w = expected_w - corrected_w
        # Only where every load is read and none is between two operating points.
        comparable = np.isfinite(for_loads_w)
        unknown = np.isnan(missing_w)
        if np.count_nonzero(unknown):
            comparable &= feeds.totals(unknown.astype(np.float64)) == 0
        if self._name(own_w, missing_w, expected_w, np.where(comparable, rest_w, np.nan), now_s):
            corrected_w = own_w * self.factor
            rest_w = for_loads_w - feeds.totals(np.where(unread, 0.0, corrected_w))
        power_w = self._shared(corrected_w, rest_w, for_loads_w, comparable, now_s)
        if any_unread:
            likely_w = np.where(np.isfinite(expected_w), expected_w, nameplate_w)
            power_w = np.where(unread, self._filled(unread, rest_w, for_loads_w, likely_w), power_w)
        return FedPower(power_w, (power_w != own_w) & ~np.isnan(power_w))

    def _name(
        self, own_w: Floats, missing_w: Floats, expected_w: Floats, rest_w: Floats, now_s: float
    ) -> bool:
        """Correct the readings of loads that stand out and whose PDU confirms it; whether there are such."""
        feeds = self._feeds
        out = np.abs(missing_w) > np.maximum(STANDS_OUT * expected_w, _STANDS_OUT_W)
        if not self._suspects and not np.count_nonzero(out):
            return False
        rest_of_w = feeds.of_loads(rest_w, np.nan)
        out &= missing_w * rest_of_w > 0
        suspected_w = feeds.totals(np.where(out, missing_w, 0.0))
        confirmed = np.abs(rest_w) >= CONFIRMS * np.abs(suspected_w)
        lies = out & (feeds.of_loads(confirmed.astype(np.float64), 0.0) > 0)
        if not self._suspects and not np.count_nonzero(lies):
            return False
        # Not to be judged now (an order is under way) is neither a yes nor a no.
        otherwise_s = np.where(np.isnan(missing_w) | np.isnan(rest_of_w), self._lies_s, np.inf)
        self._lies_s = np.where(lies, np.minimum(self._lies_s, now_s), otherwise_s)
        proven = lies & (now_s - self._lies_s >= self._lasts_s)
        any_proven = bool(np.count_nonzero(proven))
        if any_proven:
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.minimum(np.abs(rest_w) / np.abs(suspected_w), 1.0)
                true_w = expected_w - missing_w * (1.0 - feeds.of_loads(share, 0.0))
                factor = np.clip(true_w / own_w, 1 / _LARGEST, _LARGEST)
            self.factor = np.where(proven & np.isfinite(factor), factor, self.factor)
            self._lies_s = np.where(proven, np.inf, self._lies_s)
        self._suspects = bool(np.isfinite(self._lies_s).any())
        return any_proven

    def _shared(
        self, corrected_w: Floats, rest_w: Floats, for_loads_w: Floats, comparable: Bools, now_s: float
    ) -> Floats:
        """Where loads and PDU differ and nobody stands out, all share the difference."""
        tolerated_w = DIFFERS * np.abs(for_loads_w) + _DIFFERS_W
        differs = (np.abs(rest_w) > tolerated_w) & comparable
        agrees = comparable & ~differs
        self._differs_s[agrees] = np.inf
        if not np.count_nonzero(differs):
            self.difference_w = np.zeros(len(differs))
            return corrected_w
        self._differs_s[differs] = np.minimum(self._differs_s[differs], now_s)
        lasting = differs & (now_s - self._differs_s >= self._lasts_s)
        self.difference_w = np.where(lasting, rest_w, 0.0)
        if not np.count_nonzero(lasting):
            return corrected_w
        said_w = for_loads_w - rest_w
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(lasting & (said_w > 0), np.maximum(for_loads_w, 0.0) / said_w, 1.0)
        return corrected_w * self._feeds.of_loads(scale, 1.0)

    def _filled(self, unread: Bools, rest_w: Floats, for_loads_w: Floats, likely_w: Floats) -> Floats:
        """What is left of a PDU's total is drawn by its loads that show nothing themselves.

        Only where that is most of it: the rest of many readings, each a little wrong, says nothing of one.
        """
        feeds = self._feeds
        usable_w = np.where(rest_w >= _MOST_UNREAD * for_loads_w, np.maximum(rest_w, 0.0), np.nan)
        weight = np.where(unread, likely_w, 0.0)
        total = feeds.of_loads(feeds.totals(weight), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return feeds.of_loads(usable_w, np.nan) * (weight / total)
