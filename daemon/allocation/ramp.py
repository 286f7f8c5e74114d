"""How fast the load may come back."""

_LEAD_S = 5.0
"""The ramp may run this far, and one step of a load, ahead of what the site draws."""


def ramp_lead_w(rate_w_per_s: float, step_w: float) -> float:
    """How far the ramp runs ahead of a load that does not follow it at once.

    Args:
        rate_w_per_s: the ramp.
        step_w: the largest single step of a load, which the ramp must be able to save up for.
    """
    return rate_w_per_s * _LEAD_S + step_w


def ramp_ceiling_w(
    ceiling_w: float, limit_w: float, draw_w: float, rate_w_per_s: float, dt_s: float, step_w: float
) -> float:
    """What the ramp lets the whole site draw now: never far ahead of what it does draw.

    Args:
        ceiling_w: of the cycle before.
        limit_w: the limit in force.
        draw_w: what the site counts at.
        rate_w_per_s: the ramp.
        dt_s: since the cycle before.
        step_w: the largest single step of a load.
    """
    reached_w = max(draw_w, min(ceiling_w, draw_w + ramp_lead_w(rate_w_per_s, step_w)))
    return min(limit_w, reached_w + rate_w_per_s * dt_s)
