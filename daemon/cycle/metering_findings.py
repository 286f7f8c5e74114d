"""What a cycle finds wrong with what is measured."""

import math

from daemon.cycle.alarms import Alarm
from daemon.cycle.controller import Controller, CycleResult
from daemon.cycle.naming import megawatts, named
from daemon.metering.measuring import Metering
from daemon.metering.meter_judge import Doubt
from daemon.metering.site_power import PowerSource

_TOLD_S = 600.0
"""For so long it is told that the uncontrolled load changed at once."""


def metering_findings(controller: Controller, result: CycleResult) -> dict[str, Alarm]:
    """Every alarm about meters and readings, by id."""
    found: dict[str, Alarm] = {}
    metering = controller.metering
    _of_site_meter(found, metering, result)
    _of_comparison(found, metering, result)
    _of_feeds(found, controller)
    nonsense = metering.nonsense.now.nonzero()[0]
    if len(nonsense):
        names = named([metering.instruments.names[int(row)] for row in nonsense])
        found["nonsense"] = Alarm(
            "nonsense", f"report a power that they cannot draw; it is not used: {names}"
        )
    return found


def _of_site_meter(found: dict[str, Alarm], metering: Metering, result: CycleResult) -> None:
    power = result.power
    if result.plan is None or power.source is PowerSource.METER or power.doubt is None:
        return
    means = f"power is {power.source}, nothing rises"
    if power.stand_in is not None:
        means = f"{power.stand_in} stands in for it, with a wider margin"
    text = f"the site meter {_doubted(metering, power.doubt, result)}: {means}"
    found["meter"] = Alarm("meter", text, (power.doubt.value, power.source.value))


def _doubted(metering: Metering, doubt: Doubt, result: CycleResult) -> str:
    match doubt:
        case Doubt.STALE | Doubt.LOST:
            reading = metering.records[0].reading if metering.records else None
            if reading is None or math.isinf(reading.sampled_s):
                return "is silent: never read"
            return f"is silent for {result.moment.monotonic_s - reading.sampled_s:.0f} s"
        case Doubt.FROZEN:
            return "is frozen: its figures stand while the load moves or goes on"
        case Doubt.JUMPING:
            return "jumps: it shows what the site cannot draw or what nothing explains"
        case Doubt.BACKWARDS:
            return "counts backwards"


def _of_comparison(found: dict[str, Alarm], metering: Metering, result: CycleResult) -> None:
    names = [meter.name for meter in metering.instruments.meters]
    for other, pair in zip(names[1:], metering.disagreements, strict=True):
        if pair.difference_w == 0:
            continue
        off = {True: f"{names[0]} is off", False: f"{other} is off", None: "which one is off is open"}
        found[f"meters-disagree:{other}"] = Alarm(
            "meters-disagree",
            f"{names[0]} shows {megawatts(abs(pair.difference_w))} "
            f"{'more' if pair.difference_w > 0 else 'less'} than {other}: {off[pair.first_is_off]}",
        )
    if metering.excess_w > 0:
        found["parts-exceed-meter"] = Alarm(
            "parts-exceed-meter",
            f"the devices alone draw {megawatts(metering.excess_w)} more than the site meter shows: "
            "look at its transformers and wiring",
        )
    if result.moment.monotonic_s - metering.moved_s <= _TOLD_S:
        more = "more" if metering.moved_w > 0 else "less"
        found["uncontrolled"] = Alarm(
            "uncontrolled",
            f"what nobody controls draws {megawatts(abs(metering.moved_w))} {more} at once: "
            "look for a load that is not configured",
        )


def _of_feeds(found: dict[str, Alarm], controller: Controller) -> None:
    metering, loads = controller.metering, controller.layout.loads
    names, feeds = metering.instruments.names, metering.feeds
    lying = feeds.lying
    if len(lying):
        told = [f"{names[int(loads.rows[load])]} ({_misread(feeds.factor[load])})" for load in lying]
        found["misreading"] = Alarm(
            "misreading",
            f"report another power than their PDU shows, and count at the PDU's: {named(told)}",
            tuple(names[int(loads.rows[load])] for load in lying),
        )
    differing = feeds.difference_w.nonzero()[0]
    if len(differing):
        told = [names[int(metering.instruments.feeds.rows[pdu])] for pdu in differing]
        watts = float(feeds.difference_w.sum())
        found["pdu-differs"] = Alarm(
            "pdu-differs",
            f"PDUs and their loads differ by {megawatts(abs(watts))}; the PDUs' figures count: {named(told)}",
            tuple(told),
        )


def _misread(factor: float) -> str:
    """A load that draws 1.25 times what it says, says 20 % too little."""
    percent = round((1 / factor - 1) * 100)
    return f"{abs(percent)} % too {'much' if percent > 0 else 'little'}"
