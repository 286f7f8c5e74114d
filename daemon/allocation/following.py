"""How much cooling follows the loads, learned while both are at rest."""

from dataclasses import dataclass

_AT_MOST = 0.5
_STEADY = 0.02
"""Loads that stay within this share are at rest."""
_FOLLOWED_S = 180.0
"""After so long the cooling has followed."""
_LEARN_S = 60.0
_LEAST = 0.2
"""Of what the loads can draw: below it they say nothing of the share, but pumps run on."""


@dataclass(frozen=True, slots=True)
class Following:
    """Fans and pumps draw a share of what the loads draw, minutes late."""

    share: float | None = None
    """W of cooling for each W of the loads; `None` = nothing was seen yet."""
    steady_w: float = 0.0
    """What the loads drew when they last came to rest."""
    steady_s: float = 0.0
    """When that was, monotonic."""
    looked_s: float = 0.0

    def looked(self, cooling_w: float | None, loads_w: float, full_w: float, now_s: float) -> "Following":
        """After one more look; the first one is taken for a site at rest.

        Args:
            cooling_w: what the cooling draws; `None` = not known.
            loads_w: what the loads draw, not what they count at: loads without work warm nothing.
            full_w: the most that they can draw.
            now_s: monotonic.
        """
        if cooling_w is None or loads_w <= _LEAST * full_w:
            return self
        share = min(max(cooling_w / loads_w, 0.0), _AT_MOST)
        if self.share is None:
            return Following(share, loads_w, now_s, now_s)
        if abs(loads_w - self.steady_w) > _STEADY * self.steady_w:
            return Following(self.share, loads_w, now_s, now_s)
        if now_s - self.steady_s < _FOLLOWED_S:
            return Following(self.share, self.steady_w, self.steady_s, now_s)
        weight = min(1.0, (now_s - self.looked_s) / _LEARN_S)
        return Following(self.share + weight * (share - self.share), self.steady_w, self.steady_s, now_s)
