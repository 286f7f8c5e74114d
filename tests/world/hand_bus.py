"""A broker's connection worked by hand."""

from dataclasses import dataclass, field

from drivers.ports import TopicHandler


@dataclass
class HandBus:
    """A `DeviceTopics`: what is published lies in `published`; `say` has a device speak."""

    connected: bool = True
    handlers: dict[str, TopicHandler] = field(default_factory=dict)
    published: list[tuple[str, str]] = field(default_factory=list)

    def subscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        assert topic_filter not in self.handlers
        self.handlers[topic_filter] = handler

    def unsubscribe(self, topic_filter: str, handler: TopicHandler) -> None:
        assert self.handlers.pop(topic_filter) is handler

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        assert (qos, retain) == (1, False)
        if self.connected:
            self.published.append((topic, payload.decode()))
        return self.connected

    def say(self, topic: str, payload: str, *, retained: bool = False) -> None:
        self.handlers[topic](topic, payload.encode(), retained)
