"""What the demo's site is configured with: quick values, so that everything shows within two minutes."""

from dataclasses import dataclass
from math import ceil

CONTRACT_SHARE = 1.1
FAILSAFE_SHARE = 0.3
KILOWATT = 1000


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits and times of a site's configuration that an outsider knows too."""

    contract_max_w: int
    failsafe_w: int
    interval_s: int = 10
    lease_timeout_s: int = 6
    failsafe_ramp_s: int = 10
    ramp_up_pct_per_min: int = 200
    settle_s: int = 10

    @classmethod
    def of_plant(cls, full_w: float) -> "Terms":
        """Limits in whole kW for a plant that draws `full_w` at full load."""
        return cls(
            contract_max_w=ceil(full_w * CONTRACT_SHARE / KILOWATT) * KILOWATT,
            failsafe_w=round(full_w * FAILSAFE_SHARE / KILOWATT) * KILOWATT,
        )
