"""The arithmetic of a decision in one line."""

from daemon.cycle.controller import CycleResult


def decision_line(result: CycleResult) -> str:
    """Such as `limit 12.000 MW (quota rev 42) - uncontrolled 0.310 - margin 0.030 = 11.660 for 912 loads`."""
    verdict, plan = result.verdict, result.plan
    quota = verdict.authority.quota
    who = verdict.source.value
    if who == "quota" and quota is not None:
        who = f"quota rev {quota.rev}"
    head = f"limit {verdict.limit_w / 1e6:.3f} MW ({who})"
    if plan is None:
        return f"{head}: waiting for the first full picture"
    line = (
        f"{head} - uncontrolled {plan.uncontrolled_w / 1e6:.3f} - margin {plan.margin_w / 1e6:.3f}"
        f" = {plan.target_w / 1e6:.3f} for {len(plan.level):,} loads at {plan.loads_w / 1e6:.3f}"
    )
    if plan.late_w > 0:
        line += f", bridging {plan.late_w / 1e6:.3f}"
    if plan.unreachable_w > 0 and plan.limit_w > 0:
        line += f", {plan.unreachable_w / 1e6:.3f} out of reach"
    return line
