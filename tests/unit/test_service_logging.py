"""A log line in the journal, on a terminal, in a file."""

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from daemon.service.logging import LogForm, configure_logging, log_form


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Leave the process' logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def journal(path: Path) -> dict[str, str]:
    status = path.stat()
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def test_the_journal_gets_json_with_its_priority_in_front(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    with path.open("w", encoding="utf-8") as stream:
        configure_logging(stream=stream, environment=journal(path), level=logging.DEBUG)
        log = structlog.get_logger("quotawatt")
        log.info("limit", limit_w=0, source="hold")
        log.warning("meter-stale")
        log.error("store\nfull")
        log.debug("poll")
        logging.getLogger("uvicorn").warning("from %s", "elsewhere")

    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line[:4] for line in lines] == ["<6>{", "<4>{", "<3>{", "<7>{", "<4>{"]
    first = json.loads(lines[0][3:])
    assert first == {"event": "limit", "limit_w": 0, "source": "hold", "level": "info"}
    assert json.loads(lines[4][3:])["event"] == "from elsewhere"


def test_a_traceback_stays_on_its_line(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    with path.open("w", encoding="utf-8") as stream:
        configure_logging(stream=stream, environment=journal(path))
        try:
            int("disk full")
        except ValueError:
            structlog.get_logger().exception("cannot-store")

    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert line.startswith("<3>{")
    assert "disk full" in json.loads(line[3:])["exception"]


def test_a_file_gets_json_with_the_time_and_no_priority(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w", encoding="utf-8") as stream:
        configure_logging(stream=stream, environment={"JOURNAL_STREAM": "1:2"})
        structlog.get_logger().info("started")
        structlog.get_logger().debug("not wanted")

    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["timestamp"].endswith("Z")


def test_a_terminal_gets_colours_and_no_json() -> None:
    leader, follower = os.openpty()
    with open(follower, "w", encoding="utf-8") as stream, open(leader, "rb") as screen:  # noqa: PTH123 - descriptors
        assert log_form(stream, {}) is LogForm.TERMINAL
        configure_logging(stream=stream, environment={})
        structlog.get_logger().info("started", port=8480)
        stream.flush()
        line = screen.readline()

    assert b"\x1b[" in line
    assert b"started" in line
    assert not line.startswith(b"{")


def test_a_stream_without_a_descriptor_gets_json() -> None:
    assert log_form(io.StringIO(), {"JOURNAL_STREAM": "1:2"}) is LogForm.JSON
