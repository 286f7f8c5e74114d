"""Which processes there are, as /proc shows them."""

from pathlib import Path


def named(text: str) -> set[int]:
    """Ids of the processes with `text` in their command line."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command:
            found.add(int(entry.name))
    return found


def descendants(pid: int) -> set[int]:
    """Ids of a process' children, and theirs."""
    found: set[int] = set()
    for entry in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, entry.read_text(encoding="ascii").split()):
            found |= {child, *descendants(child)}
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run; one that has ended and was not waited for yet does not."""
    found = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
        except OSError:
            continue
        if state.split()[0] != "Z":
            found.add(pid)
    return found
