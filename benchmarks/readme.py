"""`python -m benchmarks.readme`: put what build/bench holds into README, between its two markers."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.figures import FOLDER, Figure, Finding, read_finding

README = FOLDER.parent.parent / "README.md"
BEGIN = "<!-- benchmarks: begin (python -m benchmarks.readme writes this) -->"
END = "<!-- benchmarks: end -->"


def rendered(findings: Iterable[Finding]) -> str:
    """Every figure that has a goal, as a table; under it, the machines."""
    found = list(findings)
    lines = ["| what | measured | goal |", "|---|---|---|"]
    for finding in found:
        goals = [figure for figure in finding.figures if figure.goal is not None]
        lines += [_row(finding, figure, is_first=index == 0) for index, figure in enumerate(goals)]
    machines = dict.fromkeys(finding.machine.line for finding in found)
    return "\n".join([*lines, "", *machines])


def inserted(readme: str, table: str) -> str:
    """The README with the table between its markers.

    Raises:
        ValueError: they are not there, once each and in this order.
    """
    before, begin, rest = readme.partition(BEGIN)
    between, end, after = rest.partition(END)
    if not begin or not end or BEGIN in between + after or END in before + after:
        raise ValueError(f"README needs these two lines, once each: {BEGIN} {END}")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def _row(finding: Finding, figure: Figure, *, is_first: bool) -> str:
    what = f"**{finding.title}**<br>{figure.what}" if is_first else figure.what
    missed = " (missed)" if figure.goal is not None and not figure.goal.met(figure.value) else ""
    return f"| {what} | {figure.text}{missed} | {figure.goal_text} |"


def _files(folder: Path) -> Sequence[Path]:
    """Those that hold findings; the rest are lists of runs and the progress of plays."""
    return [
        path
        for path in sorted(folder.glob("*.json"))
        if path.read_bytes().lstrip().startswith(b"{") and not path.name.startswith("campaign-")
    ]


def main() -> int:
    """Rewrite README."""
    findings = [read_finding(path) for path in _files(FOLDER)]
    if not findings:
        print("build/bench holds no figures yet: run `make bench-poll` first", file=sys.stderr)
        return 1
    README.write_text(inserted(README.read_text(encoding="utf-8"), rendered(findings)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
