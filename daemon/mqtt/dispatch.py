"""Which handlers hear a topic: one look-up per message, however many devices there are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from drivers.ports import TopicHandler

MOST_REMEMBERED = 50_000
"""Topics whose route is kept; more than a site's devices have."""

Route = tuple[str, tuple[TopicHandler, ...]]
"""The topic as text, and who hears it."""


@dataclass(slots=True)
class _Level:
    """A level of the topics that filters speak of; `+` is a level like any other."""

    below: "dict[str, _Level]" = field(default_factory=dict)
    here: list[TopicHandler] = field(default_factory=list)
    """Of filters that end here."""
    rest: list[TopicHandler] = field(default_factory=list)
    """Of filters that go on with `#`."""


class Dispatch:
    """The routes of all topics: worked out at a topic's first message, then remembered."""

    def __init__(self) -> None:
        self.filters: dict[str, None] = {}
        """All there are, in order, each once."""
        self._root = _Level()
        self._routes: dict[bytes, Route] = {}

    def add(self, topic_filter: str, handler: TopicHandler) -> bool:
        """Whether the filter is new.

        Raises:
            ValueError: it is no topic filter (MQTT 5, 4.7).
        """
        levels = topic_filter.split("/")
        if not topic_filter or not _is_filter(levels):
            raise ValueError(f"{topic_filter!r} is no topic filter")
        self._routes.clear()
        level = self._root
        for name in levels:
            if name == "#":
                level.rest.append(handler)
                break
            level = level.below.setdefault(name, _Level())
        else:
            level.here.append(handler)
        known = topic_filter in self.filters
        self.filters[topic_filter] = None
        return not known

    def remove(self, topic_filter: str, handler: TopicHandler) -> bool:
        """Whether nobody is left who was added with this filter."""
        *above, last = topic_filter.split("/")
        level = self._root
        for name in above:
            level = level.below[name]
        left = level.rest if last == "#" else level.below[last].here
        left.remove(handler)
        self._routes.clear()
        if not left:
            del self.filters[topic_filter]
        return not left

    def route(self, topic: bytes) -> Route | None:
        """Who hears a topic; `None` = nobody.

        Raises:
            UnicodeDecodeError: the topic is no text.
        """
        return self._routes.get(topic) or self._work_out(topic)

    def _work_out(self, topic: bytes) -> Route | None:
        text = topic.decode()
        handlers = tuple(_matching(self._root, text.split("/"), 0))
        if not handlers:
            return None
        if len(self._routes) >= MOST_REMEMBERED:
            self._routes.clear()
        self._routes[topic] = route = (text, handlers)
        return route


def _is_filter(levels: Sequence[str]) -> bool:
    last = len(levels) - 1
    return all(
        (name in {"+", "#"} or not {"+", "#"} & set(name)) and (name != "#" or index == last)
        for index, name in enumerate(levels)
    )


def _matching(level: _Level, names: Sequence[str], at: int) -> Iterator[TopicHandler]:
    # The standard keeps topics that begin with $ out of the reach of a leading wildcard (4.7.2).
    wild = at > 0 or not names[0].startswith("$")
    if wild:
        yield from level.rest
    if at == len(names):
        yield from level.here
        return
    for name in (names[at], "+") if wild else (names[at],):
        if name in level.below:
            yield from _matching(level.below[name], names, at + 1)
