"""What the configuration says about limits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says about limits."""

    contract_max_w: int
    failsafe_w: int
    lease_timeout_s: float
    failsafe_ramp_s: float
    failsafe_offset_s: float
    """Fixed per site, so that the sites of a programme do not fall together."""
