"""The process' limit on open files."""

import resource


def open_files_limit() -> int:
    """What the daemon may have: the hard limit, for it raises the soft one to it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard


def raise_open_files() -> int:
    """Raise the soft limit to the hard one, as every process may; returns what holds then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
