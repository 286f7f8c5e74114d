"""Orders on their way to the loads: sent, confirmed by measured power, sent again."""

from daemon.dispatch.dispatcher import Dispatcher

__all__ = ["Dispatcher"]
