"""What ends a demo before it can be judged."""


class DemoError(Exception):
    """The message says what went wrong and where to look."""
