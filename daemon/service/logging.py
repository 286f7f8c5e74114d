"""Logs: JSON with the journal's priority under systemd, colours on a terminal, plain JSON elsewhere."""

import logging
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_PRIORITIES = {"critical": 2, "exception": 3, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""sd-daemon(3): `<N>` at the start of a line is its syslog level."""

_TALKATIVE = ("httpx2", "uvicorn")
"""Libraries that tell of every request and of every start; their warnings are welcome."""


class LogForm(StrEnum):
    """How a log line looks."""

    JOURNAL = "journal"
    TERMINAL = "terminal"
    JSON = "json"


def log_form(stream: TextIO, environment: Mapping[str, str]) -> LogForm:
    """What suits a stream: `JOURNAL_STREAM` names the device and inode of the journal's socket."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return LogForm.JSON
    if environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}":
        return LogForm.JOURNAL
    return LogForm.TERMINAL if stream.isatty() else LogForm.JSON


def configure_logging(
    *,
    stream: TextIO | None = None,
    environment: Mapping[str, str] | None = None,
    level: int = logging.INFO,
) -> None:
    """Have structlog and the standard library's loggers write to `stream` (default: standard error)."""
    stream = sys.stderr if stream is None else stream
    form = log_form(stream, os.environ if environment is None else environment)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
    ]
    if form is not LogForm.JOURNAL:  # the journal stamps lines itself
        shared.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form)],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _rendering(form: LogForm) -> list[Processor]:
    if form is LogForm.TERMINAL:
        return [structlog.dev.ConsoleRenderer(colors=True)]
    line = _journal_line if form is LogForm.JOURNAL else _json
    return [structlog.processors.format_exc_info, line]


_json = structlog.processors.JSONRenderer()


def _journal_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
    priority = _PRIORITIES.get(str(event.get("level")), 6)
    return f"<{priority}>{_json(logger, method, event)!s}"


def only_errors() -> None:
    """For a command whose answer is what it prints: nothing but errors, on standard error."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
