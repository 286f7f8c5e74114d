"""The tables of a profile that only an MQTT device has."""

from typing import Annotated

from pydantic import Field

from drivers.message_map import Format
from drivers.origin import Origin
from drivers.profiles.base import Name, Table

_PREFIX = "{prefix} is its address"
OneTopic = Annotated[str, Field(pattern=r"^[^#+{}]*\{prefix\}[^#+{}]*$")]
Topics = Annotated[str, Field(pattern=r"^[^{}]*\{prefix\}[^{}]*$")]


class TopicTable(Table):
    """A row of `[[mqtt.topics]]`: a further topic on which the device publishes."""

    name: Name = Field(description="what its points call it")
    topic: Topics = Field(description=f"where the device publishes; {_PREFIX}; + and # stand for levels")
    period_s: float | None = Field(
        default=None,
        gt=0,
        description="how often it publishes there; not given = when something changes, and only what changed",
    )
    format: Format = Field(default=Format.JSON, description="plain = the whole message is one value")


class OnlineTable(Table):
    """`[mqtt.online]`: where the device, or its last will, says whether it is there."""

    topic: OneTopic = Field(description=f"where that is said; {_PREFIX}")
    online: str = Field(min_length=1, description="the message while it is there")
    offline: str = Field(min_length=1, description="the message when it is gone")


class MqttTable(Table):
    """`[mqtt]`."""

    state_topic: Topics = Field(
        description=f"where the device publishes; {_PREFIX}; + and # stand for levels; points call it state"
    )
    period_s: float = Field(
        gt=0, description="how often it publishes; after three periods of silence its values are absent"
    )
    format: Format = Field(default=Format.JSON, description="plain = the whole message is one value")
    delay_s: float = Field(default=0.0, ge=0, description="so old may values be when they are published")
    topics: tuple[TopicTable, ...] = Field(default=(), description="further topics")
    online: OnlineTable | None = Field(default=None, description="where it says whether it is there")


class MessageVectorTable(Table):
    """A row of `[[message_vectors]]`: a message and the values that it means."""

    topic: Name = Field(default="state", description="name of its topic")
    payload: str = Field(description="the message as it was published")
    values: dict[Name, float] = Field(default={}, description="by point, in the point's unit")
    absent: tuple[Name, ...] = Field(default=(), description="points that the message has no value for")
    origin: Origin = Field(description="source = copied from the named source; derived = made up by hand")
    source: str = Field(min_length=1, description="which source, or how it was derived")
