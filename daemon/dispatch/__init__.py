"""Orders on their way: sent, confirmed by measured power, sent again. Pure."""

from daemon.dispatch.dispatcher import Dispatcher, Endurance

__all__ = ["Dispatcher", "Endurance"]
