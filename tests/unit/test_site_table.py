"""What the site is known to do: values with age and reason, frozen once per cycle."""

import math

import numpy as np
import pytest

from daemon.table import SiteTable, Snapshot
from daemon.table.carrying import BEGINS
from daemon.table.snapshot import DeviceStatus, Floats, stale_after_s
from drivers.ports import Absence, WriteResult
from drivers.quantity import COLUMN, Quantity

P, S = Quantity.POWER, Quantity.SETPOINT


def test_nothing_is_known_at_the_start() -> None:
    snapshot = SiteTable([1.0, 1.0]).freeze(100.0)
    assert np.isnan(snapshot.values).all()
    assert np.isinf(snapshot.age_s).all()
    assert [snapshot.reason(row) for row in (0, 1)] == [Absence.NEVER_READ, Absence.NEVER_READ]
    assert not snapshot.complete
    assert snapshot.value(0, P) is None
    assert np.isnan(snapshot.fresh(P)).all()


def test_a_sample_is_as_old_as_its_request() -> None:
    table = SiteTable([1.0])
    table.sampled(0, {P: 3_400.0, S: 3_500.0}, started=99.2)
    snapshot = table.freeze(100.0)
    assert snapshot.age_s[0] == pytest.approx(0.8)
    assert (snapshot.value(0, P), snapshot.value(0, S)) == (3_400.0, 3_500.0)
    assert snapshot.reason(0) is None


def test_zero_is_a_value_and_absent_is_none() -> None:
    table = SiteTable([1.0])
    table.sampled(0, {P: 0.0, S: None}, started=99.5)
    snapshot = table.freeze(100.0)
    assert snapshot.value(0, P) == 0.0
    assert snapshot.fresh(P)[0] == 0.0
    assert snapshot.value(0, S) is None


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_absent(nonsense: float) -> None:
    table = SiteTable([1.0])
    table.sampled(0, {P: nonsense}, started=99.5)
    assert table.freeze(100.0).value(0, P) is None


def test_a_value_that_a_device_withdraws_is_absent_and_not_the_old_one() -> None:
    table = SiteTable([1.0])
    table.sampled(0, {P: 3_400.0}, started=99.0)
    table.sampled(0, {P: None}, started=99.9)
    assert table.freeze(100.0).value(0, P) is None


def test_a_failed_sweep_is_never_zero_watts() -> None:
    table = SiteTable([1.0])
    table.sampled(0, {P: 3_400.0}, started=90.0)
    table.failed(0, Absence.TIMED_OUT)
    snapshot = table.freeze(100.0)
    assert np.isnan(snapshot.fresh(P)[0])
    assert snapshot.value(0, P) == 3_400.0  # the last one, for showing
    assert snapshot.reason(0) is Absence.TIMED_OUT


def test_rows_do_not_mix() -> None:
    table = SiteTable([1.0, 1.0, 1.0])
    table.sampled(1, {P: 3_400.0}, started=99.5)
    table.failed(2, Absence.NOT_CONNECTED)
    snapshot = table.freeze(100.0)
    assert [snapshot.value(row, P) for row in range(3)] == [None, 3_400.0, None]
    reasons = [snapshot.reason(row) for row in range(3)]
    assert reasons == [Absence.NEVER_READ, None, Absence.NOT_CONNECTED]


@pytest.mark.parametrize(
    ("period_s", "stale_s"), [(0.5, 1.5), (1.0, 3.0), (2.0, 6.0), (5.0, 6.0), (10.0, 11.0), (60.0, 61.0)]
)
def test_stale_is_three_polls_or_six_seconds_and_never_less_than_one_poll(
    period_s: float, stale_s: float
) -> None:
    assert stale_after_s(period_s) == stale_s


def test_values_are_fresh_until_they_are_stale() -> None:
    table = SiteTable([1.0, 10.0])
    table.sampled(0, {P: 1.0}, started=97.0)
    table.sampled(1, {P: 2.0}, started=90.0)
    assert table.freeze(100.0).fresh(P).tolist() == [1.0, 2.0]
    assert np.isnan(table.freeze(100.1).fresh(P)).tolist() == [True, False]
    assert np.isnan(table.freeze(101.1).fresh(P)).tolist() == [True, True]


def test_a_device_is_ok_then_suspect_then_down() -> None:
    table = SiteTable([1.0])
    table.freeze(0.0)
    table.sampled(0, {P: 1.0}, started=100.0)
    statuses = [table.freeze(100.0 + age_s).status(0) for age_s in (0, 3, 3.1, 60, 60.1, 9_999)]
    ok, suspect, down = DeviceStatus.OK, DeviceStatus.SUSPECT, DeviceStatus.DOWN
    assert statuses == [ok, ok, suspect, suspect, down, down]


def test_a_device_that_never_answered_is_down_after_a_minute_and_not_at_once() -> None:
    table = SiteTable([1.0])
    assert table.freeze(5_000.0).status(0) is DeviceStatus.SUSPECT
    table.failed(0, Absence.TIMED_OUT)
    assert table.freeze(5_060.0).status(0) is DeviceStatus.SUSPECT
    assert table.freeze(5_061.0).status(0) is DeviceStatus.DOWN


def test_the_picture_is_complete_once_every_device_has_answered_or_failed() -> None:
    table = SiteTable([1.0, 1.0])
    table.sampled(0, {P: 1.0}, started=0.0)
    assert not table.freeze(1.0).complete
    table.failed(1, Absence.TIMED_OUT)
    assert table.freeze(2.0).complete


def test_a_snapshot_stays_as_it_was_taken() -> None:
    table = SiteTable([1.0])
    table.sampled(0, {P: 1.0}, started=99.0)
    snapshot: Snapshot = table.freeze(100.0)
    table.sampled(0, {P: 2.0}, started=100.5)
    table.failed(0, Absence.SILENT)
    assert (snapshot.value(0, P), snapshot.age_s[0], snapshot.reason(0)) == (1.0, 1.0, None)
    for array in (snapshot.values, snapshot.age_s, snapshot.reasons, snapshot.refused):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7.0


def test_every_outcome_of_a_write_is_handed_over_once() -> None:
    table = SiteTable([1.0])
    table.written(0, 1_750.0, WriteResult.ACKNOWLEDGED, started=99.0)
    table.written(0, None, WriteResult.TIMED_OUT, started=99.5)
    outcomes = table.freeze(100.0).outcomes
    assert [(outcome.watts, outcome.result) for outcome in outcomes] == [
        (1_750.0, WriteResult.ACKNOWLEDGED),
        (None, WriteResult.TIMED_OUT),
    ]
    assert table.freeze(101.0).outcomes == ()


class Words:
    """Stands in for a fleet's matrices."""

    def __init__(self, value: float) -> None:
        self.value = value

    def decode_into(self, values: Floats) -> None:
        values[1, COLUMN[P]] = self.value


def test_what_was_swept_is_decoded_when_the_table_is_frozen() -> None:
    table, words = SiteTable([1.0, 1.0]), Words(3_400.0)
    table.decode_with(words)
    table.swept(1, 99.5, slow=False)
    snapshot = table.freeze(100.0)
    words.value = 7.0
    assert (snapshot.value(1, P), snapshot.value(0, P)) == (3_400.0, None)
    assert snapshot.age_s.tolist() == [math.inf, 0.5]
    assert (snapshot.reason(0), snapshot.reason(1)) == (Absence.NEVER_READ, None)
    assert table.freeze(101.0).value(1, P) == 7.0


def test_a_good_sweep_takes_the_reason_away_and_a_slow_one_does_not() -> None:
    table = SiteTable([1.0], {0: [Quantity.SERIAL]})
    table.failed(0, Absence.TIMED_OUT)
    table.swept(0, 99.0, slow=True)
    assert table.freeze(100.0).reason(0) is Absence.TIMED_OUT
    table.swept(0, 99.0, slow=False)
    assert table.freeze(100.0).reason(0) is None


def test_a_slow_point_is_as_old_as_its_own_sweep_and_stays_fresh_for_three_of_them() -> None:
    table = SiteTable([1.0, 1.0], {1: {Quantity.SERIAL}})
    for row in (0, 1):
        table.sampled(row, {P: 5.0, Quantity.SERIAL: 42.0}, started=99.0)
        table.swept(row, 99.0, slow=False)
    table.swept(1, 40.0, slow=True)
    snapshot = table.freeze(100.0)
    assert snapshot.age_of(P).tolist() == [1.0, 1.0]
    assert snapshot.age_of(Quantity.SERIAL).tolist() == [1.0, 60.0]
    assert snapshot.fresh(Quantity.SERIAL).tolist() == [42.0, 42.0]
    for row in (0, 1):
        table.swept(row, 220.0, slow=False)
    assert np.isnan(table.freeze(220.1).fresh(Quantity.SERIAL)).tolist() == [False, True]
    assert table.freeze(220.0).fresh(Quantity.SERIAL).tolist() == [42.0, 42.0]


def test_without_slow_points_every_quantity_has_the_age_of_the_sweep() -> None:
    table = SiteTable([1.0, 1.0])
    table.swept(0, 99.0, slow=False)
    assert table.freeze(100.0).age_of(Quantity.SERIAL).tolist() == [1.0, math.inf]


def test_every_absent_value_has_a_reason_of_its_own() -> None:
    table = SiteTable([1.0, 1.0])
    table.sampled(0, {P: 1.0, S: None, Quantity.SERIAL: None}, started=99.0)
    table.refused(0, {Quantity.SERIAL})
    snapshot = table.freeze(100.0)
    assert snapshot.absence(0, P) is None
    assert snapshot.absence(0, S) is Absence.NOT_AVAILABLE
    assert snapshot.absence(0, Quantity.SERIAL) is Absence.REFUSED
    assert snapshot.absence(1, Quantity.SERIAL) is Absence.NEVER_READ
    table.failed(0, Absence.TIMED_OUT)
    assert table.freeze(100.0).absence(0, S) is Absence.TIMED_OUT
    table.refused(0, ())
    assert table.freeze(100.0).absence(0, Quantity.SERIAL) is Absence.TIMED_OUT
    # What was taken stays as it was.
    assert snapshot.absence(0, Quantity.SERIAL) is Absence.REFUSED


def test_rows_go_on_in_other_places_and_new_ones_begin() -> None:
    table = SiteTable([1.0, 1.0, 10.0], {2: [Quantity.SERIAL]})
    for row in range(3):
        table.sampled(row, {Quantity.POWER: 100.0 + row}, 10.0 + row)
    table.refused(1, [Quantity.SERIAL])
    table.failed(1, Absence.TIMED_OUT)
    for row in range(3):
        table.written(row, float(row), WriteResult.ACKNOWLEDGED, 5.0)
    table.freeze(14.0)
    for row in range(3):
        table.written(row, float(row), WriteResult.ACKNOWLEDGED, 5.0)

    # The third is the first now, the second has gone, one has come.
    table.go_by([10.0, 1.0, 1.0], {0: [Quantity.SERIAL]}, np.array([2, BEGINS, 1]))
    snapshot = table.freeze(100.0)

    assert [snapshot.value(row, Quantity.POWER) for row in range(3)] == [102.0, None, 101.0]
    assert snapshot.age_s.tolist() == [88.0, np.inf, 89.0]
    assert [snapshot.reason(row) for row in range(3)] == [None, Absence.NEVER_READ, Absence.TIMED_OUT]
    assert snapshot.absence(2, Quantity.SERIAL) is Absence.REFUSED
    assert snapshot.stale_after_s.tolist() == [11.0, 3.0, 3.0]
    assert [(each.row, each.watts) for each in snapshot.outcomes] == [(2, 1.0), (0, 2.0)]
    assert snapshot.slow is not None
    assert snapshot.slow.points[:, COLUMN[Quantity.SERIAL]].tolist() == [True, False, False]
    assert not snapshot.complete
    # One that has just come is not down yet.
    assert [snapshot.status(row) for row in range(3)] == [
        DeviceStatus.DOWN,
        DeviceStatus.SUSPECT,
        DeviceStatus.DOWN,
    ]
    assert snapshot.down.tolist() == [True, False, True]
    assert table.freeze(161.0).down.tolist() == [True, True, True]
