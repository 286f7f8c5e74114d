"""What may stand in a scenario file of what is around the plant: dispatcher, broker, messages, the daemon."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Lasting = Annotated[float, Field(gt=0, le=1e9)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Span(_Table):
    """When something lasts. Seconds from the start."""

    at_s: Seconds
    for_s: Lasting
    every_s: Lasting | None = None
    """It happens again and again."""

    @model_validator(mode="after")
    def _ends_before_it_returns(self) -> Self:
        if self.every_s is not None and self.for_s >= self.every_s:
            raise ValueError("lasts until it happens again; give a smaller for_s")
        return self


class Step(_Table):
    """A limit from then on."""

    at_s: Seconds
    share: Annotated[float, Field(ge=0, le=2)] | None = None
    """Of the plant's power at full load; without it, no limit."""
    announced_s: Seconds = 0.0
    """So long before the dispatcher says it."""


class RandomSteps(_Table):
    """A new limit every so often, drawn by seed."""

    at_s: Seconds = 0.0
    every_s: Annotated[float, Field(ge=10, le=1e6)] = 300.0
    low: Share = 0.45
    high: Share = 1.0
    announced_share: Share = 0.5
    """Of the steps are said one step ahead, the others when they begin."""
    zero_share: Share = 0.0
    """Of the steps are to 0."""


class DispatchTable(_Table):
    """What the dispatcher does, and what becomes of its broker and of the daemon."""

    contract_share: Annotated[float, Field(gt=0, le=10)] = 1.15
    """Of the nameplate."""
    failsafe_share: Share = 0.3
    """Of the nameplate."""
    steps: list[Step] = []
    random_steps: RandomSteps | None = None
    silent: list[Span] = []
    """No leases."""
    broker_away: list[Span] = []
    daemon_killed: list[Span] = []
    """Away for `for_s`; within the lease's timeout it goes on where it was."""
    daemon_stopped: list[Span] = []
    """In good order, as by the service manager."""

    @model_validator(mode="after")
    def _one_kind_of_steps(self) -> Self:
        if self.steps and self.random_steps is not None:
            raise ValueError("has both steps and random_steps; give one")
        return self


class MessagesTable(_Table):
    """What happens to messages on their way to the daemon, drawn by seed for each."""

    lost_share: Share = 0.0
    """Of the retained ones it is said that they come late: a broker brings them again."""
    doubled_share: Share = 0.0
    late_share: Share = 0.0
    late_s: Lasting = 5.0
    """Up to so much later, so that others overtake it."""


class WiresTable(_Table):
    """What happens to connections with devices, drawn by seed for each piece of data."""

    late_share: Share = 0.0
    late_s: Lasting = 0.5
    cut_share: Share = 0.0
    vanish_share: Share = 0.0
    """Half-open from then on: nothing gets through, and nobody says so."""
