"""What a soak calls flat."""

from tests.world.soak import Sample, verdict


def course(rss_mib_per_sample: float = 0.0, files_per_sample: float = 0.0) -> list[Sample]:
    return [
        Sample(5.0 * index, 200 + rss_mib_per_sample * index, int(1_000 + files_per_sample * index), 0.0)
        for index in range(360)
    ]


def test_a_flat_course_is_flat_whatever_the_start_was_like() -> None:
    warming_up = [Sample(0.0, 50.0, 10, 0.0)] * 20

    assert verdict(warming_up + course()) == []


def test_a_slow_leak_of_memory_and_of_files_is_found() -> None:
    assert [each.split(" grew")[0] for each in verdict(course(0.05))] == ["memory"]
    assert [each.split(" grew")[0] for each in verdict(course(0.0, 0.05))] == ["open files"]
