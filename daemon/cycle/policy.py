"""The configuration's words on control in the controller's units."""

from hashlib import sha256

from daemon.authority.machine import Policy
from daemon.config import Config
from daemon.cycle.controller import ControlPolicy


def site_share(site: str) -> float:
    """A number in [0, 1) that is the site's own, so that many sites do not act in the same second."""
    return int.from_bytes(sha256(site.encode()).digest()[:4], "big") / 2**32


def upload_offset_s(config: Config) -> float:
    """How long after its end an interval is delivered: every site has another share of a tenth of it."""
    return site_share(config.site.id) * min(config.site.interval_s / 10, 60.0)


def control_policy(config: Config) -> ControlPolicy:
    """What the configuration says about control, in the controller's units.

    The fixed offset before the failsafe ramp is 0–60 s at the default ramp of 300 s and in proportion
    at others; the delay before a rise is the time of up to 1 % of the contract maximum on the ramp.
    """
    share, control = site_share(config.site.id), config.control
    rate_w_per_s = control.ramp_up_pct_per_min / 100 * config.site.contract_max_w / 60
    return ControlPolicy(
        authority=Policy(
            contract_max_w=config.site.contract_max_w,
            failsafe_w=config.site.failsafe_w,
            lease_timeout_s=control.lease_timeout_s,
            failsafe_ramp_s=control.failsafe_ramp_s,
            failsafe_offset_s=share * control.failsafe_ramp_s / 5,
        ),
        ramp_up_w_per_s=rate_w_per_s,
        settle_s=control.settle_s,
        rise_delay_s=share * 60 / control.ramp_up_pct_per_min,
    )
