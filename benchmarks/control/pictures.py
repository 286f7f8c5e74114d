"""Pictures of how a limit was held: limit, metered, expected and true power, and the states below."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.control import holding, whole
from sim_devices.picture import Course, draw
from sim_devices.picture.course import state_spans
from sim_devices.scenario import DispatchTable, PlantTable, RandomSteps, ScenarioDocument, Span, Step
from tests.world.judge import Course as Seen
from tests.world.world import World

PLANT = PlantTable(miners=90, racks=4, pdus=4, disobedient_share=0.05)
RANDOM = ScenarioDocument(
    title="Random steps every 5 minutes, the whole daemon, 100 devices",
    plant=PLANT,
    dispatch=DispatchTable(random_steps=RandomSteps()),
)
SILENT = ScenarioDocument(
    title="The dispatcher falls silent, and is back; the whole daemon, 100 devices",
    plant=PLANT,
    dispatch=DispatchTable(steps=[Step(at_s=0, share=0.9)], silent=[Span(at_s=300, for_s=900)]),
)


def draw_all(seed: int, folder: Path) -> Iterator[Path]:
    """Draw one course of each kind, as PNG and as SVG."""
    for name, course in courses(seed):
        for ending in (".png", ".svg"):
            path = folder / f"control-{name}{ending}"
            draw(course, path)
            yield path


def courses(seed: int) -> Iterator[tuple[str, Course]]:
    """One course of each kind, with its name."""
    for name, scenario, seconds in (("random", RANDOM, 3_600), ("silence", SILENT, 2_100)):

        async def play(world: World, seconds: float = seconds) -> Seen:
            await world.play(seconds)
            return world.judge.course

        yield name, course_of(scenario.title, whole.in_world(scenario, seed, play))
    site, full_w = holding.running(holding.fleet(), seed)
    begun = len(site.judge.course.wall_s)
    site.quota((0, int(0.6 * full_w)))
    site.run(300)
    title = f"{holding.LOADS:,} loads of all models: an unannounced step to 60 %"
    yield "step", course_of(title, site.judge.course, begun - 30)


def course_of(title: str, seen: Seen, first: int = 0) -> Course:
    """What a judge saw, from some second on."""
    start_s = seen.wall_s[first]
    at_s = [wall_s - start_s for wall_s in seen.wall_s[first:]]
    return Course(
        title=title,
        at_s=at_s,
        limit_w=list(seen.limit_w[first:]),
        metered_w=list(seen.metered_w[first:]),
        expected_w=list(seen.expected_w[first:]),
        states=state_spans(list(zip(at_s, seen.states[first:], strict=True))),
        true_w=list(zip(at_s, seen.power_w[first:], strict=True)),
    )
