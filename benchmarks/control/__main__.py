"""`python -m benchmarks.control [row …]`: the control core measured. Also writes build/bench/."""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from benchmarks.control import cycle, decision, holding, optimum, pictures, switching, whole
from benchmarks.control.seeds import merged, with_each
from benchmarks.figures import FOLDER, Finding, tell

Measure = Callable[[Sequence[int], bool], Finding]
"""With these seeds, and whether a quick look will do."""

FEW_LOADS = 240


def _loads(quick: bool) -> int:  # noqa: FBT001 - a Measure's second argument
    return FEW_LOADS if quick else holding.LOADS


ROWS: dict[str, Measure] = {
    "decision": lambda seeds, _: decision.measure(seeds[0]),
    "cycle": lambda seeds, _: cycle.measure(seeds[0]),
    "optimum": lambda seeds, _: optimum.measure(seeds[0]),
    "switching": lambda seeds, quick: merged(
        list(with_each(seeds, lambda seed: switching.measure(seed, loads=_loads(quick))))
    ),
    "steps": lambda seeds, quick: holding.steps(seeds, loads=_loads(quick)),
    "constant": lambda seeds, quick: holding.constant(seeds, loads=_loads(quick)),
    "tracking": lambda seeds, quick: holding.tracking(seeds, loads=_loads(quick)),
    "outage": lambda seeds, quick: holding.outage(seeds, loads=_loads(quick)),
    "failsafe": lambda seeds, _: whole.failsafe(seeds),
    "speed": lambda seeds, _: whole.speed(seeds[:1]),
    "plants": lambda seeds, quick: holding.plants(seeds[:1], loads=3_000 if quick else 30_000),
}


def main() -> None:
    """Measure the rows that were asked for, or all."""
    parser = argparse.ArgumentParser(description="the control core measured")
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--seeds", type=int, default=20, help="how many; 20")
    parser.add_argument("--first", type=int, default=1, help="the first of them; 1")
    parser.add_argument("--quick", action="store_true", help="three seeds, smaller sites")
    parser.add_argument("--plot", action="store_true", help="draw one course of each kind too")
    asked = parser.parse_args()
    number = min(asked.seeds, 3) if asked.quick else asked.seeds
    seeds = range(asked.first, asked.first + number)
    findings = []
    for row in asked.rows or ROWS:
        findings.append(ROWS[row](seeds, asked.quick))
        tell(findings[-1])
        _write(findings)
    if asked.plot:
        for path in pictures.draw_all(seeds[0], FOLDER):
            print(f"  → {path.relative_to(FOLDER.parent.parent)}")


def _write(findings: Sequence[Finding]) -> None:
    """All of this run in one file."""
    told = [{"title": one.title, "figures": [asdict(figure) for figure in one.figures]} for one in findings]
    text = json.dumps(told, indent=1, ensure_ascii=False)
    (FOLDER / "control.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
