"""Whether the wall clock may be believed: judged by the leases alone."""

from dataclasses import dataclass, replace

SKEW_S = 10.0
"""Sender's and site's clocks may differ by this much."""
_KEPT = 6
_SAME_S = 0.001
_STEP_S = 1.0
"""The wall clock has stepped if it moves against the monotonic one by more than this between two looks."""


@dataclass(frozen=True, slots=True)
class ClockTrust:
    """Offsets (arrival − `iat`) of the last leases. Delay only adds, so the smallest is nearest the truth."""

    offsets_s: tuple[float, ...] = ()
    difference_s: float | None = None
    """wall − monotonic at the last look."""
    was_trusted: bool = False
    """Since the start, at some time."""

    @property
    def trusted(self) -> bool:
        """False until a lease has shown that the clock is within ±10 s of its sender's."""
        return bool(self.offsets_s) and abs(min(self.offsets_s)) <= SKEW_S

    def with_lease(self, iat_s: float, wall_s: float) -> "ClockTrust":
        """After a lease that passed signature, type, audience, role and `seq`."""
        later = replace(self, offsets_s=(*self.offsets_s, wall_s - iat_s)[-_KEPT:])
        return replace(later, was_trusted=self.was_trusted or later.trusted)

    def looked(self, wall_s: float, monotonic_s: float) -> "ClockTrust":
        """After a look at both clocks: a step of the wall clock forgets what the leases had shown."""
        difference_s = wall_s - monotonic_s
        if self.difference_s is not None and abs(difference_s - self.difference_s) < _SAME_S:
            return self
        stepped = self.difference_s is not None and abs(difference_s - self.difference_s) > _STEP_S
        return ClockTrust(() if stepped else self.offsets_s, difference_s, self.was_trusted)
