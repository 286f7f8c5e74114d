"""The limit on open files as a process meets it."""

import json
import subprocess
import sys
from pathlib import Path

from daemon.store.lock import FolderLock
from tests.world.daemon_child import ROOT, environment, quotawatt
from tests.world.site_files import write_site

_LIMITED = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({}, {})); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def limited(soft: int, hard: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these limits."""
    return subprocess.run(
        [sys.executable, "-c", _LIMITED.format(soft, hard), *command],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_check_names_the_line_that_cures_a_limit_that_is_too_low(tmp_path: Path) -> None:
    path = str(write_site(tmp_path))

    found = limited(100, 200, *quotawatt("check", "--config", path))
    told = limited(100, 200, *quotawatt("check", "--config", path, "--json"))

    # The site's meter, 240 miners with an address of their own and 12 PDUs.
    (note,) = found.stdout.splitlines()[1:]
    assert note.startswith(
        "note: the daemon needs 381 open files and may have 200: write LimitNOFILE=65536 in "
    )
    assert found.returncode == 0
    assert json.loads(told.stdout)["open_files"] == {"needed": 381, "limit": 200}
    assert json.loads(told.stdout)["notices"] == [note.removeprefix("note: ")]


def test_what_the_daemon_may_raise_to_is_what_counts(tmp_path: Path) -> None:
    found = limited(100, 400, *quotawatt("check", "--config", str(write_site(tmp_path))))

    assert len(found.stdout.splitlines()) == 1


def test_run_says_it_and_goes_on(tmp_path: Path) -> None:
    path = write_site(tmp_path)
    lock = FolderLock(tmp_path / "state")  # it ends at the next thing that it looks at
    try:
        ended = limited(100, 200, *quotawatt("run", "--config", str(path)))
    finally:
        lock.release()

    (line,) = [
        json.loads(line) for line in ended.stdout.splitlines() + ended.stderr.splitlines() if "cure" in line
    ]
    assert "LimitNOFILE=65536" in line["cure"]
    assert "another quotawatt works here" in ended.stderr


def test_run_says_nothing_of_a_limit_that_is_enough(tmp_path: Path) -> None:
    path = write_site(tmp_path)
    lock = FolderLock(tmp_path / "state")
    try:
        ended = limited(100, 400, *quotawatt("run", "--config", str(path)))
    finally:
        lock.release()

    assert "another quotawatt works here" in ended.stderr
    assert "open files" not in ended.stdout + ended.stderr


def test_the_soft_limit_is_raised_as_far_as_it_goes() -> None:
    said = limited(
        100,
        300,
        sys.executable,
        "-c",
        "import resource; from daemon.service.open_files import open_files_limit, raise_open_files; "
        "print(open_files_limit(), raise_open_files(), *resource.getrlimit(resource.RLIMIT_NOFILE))",
    )

    assert said.stdout.split() == ["300", "300", "300", "300"]
