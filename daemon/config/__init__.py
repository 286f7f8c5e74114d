"""The site's configuration: one TOML file, `conf.d`, CSV lists of devices; every mistake at once."""

from daemon.config.load import load_config
from daemon.config.settings import (
    Circuit,
    Config,
    ConfiguredDevice,
    Control,
    Economics,
    ExchangeKey,
    HttpListen,
    Jwk,
    KeyRole,
    Mqtt,
    MqttProtocol,
    OnStop,
    Settlement,
    Site,
    Tier,
    TrustedKey,
)

__all__ = [
    "Circuit",
    "Config",
    "ConfiguredDevice",
    "Control",
    "Economics",
    "ExchangeKey",
    "HttpListen",
    "Jwk",
    "KeyRole",
    "Mqtt",
    "MqttProtocol",
    "OnStop",
    "Settlement",
    "Site",
    "Tier",
    "TrustedKey",
    "load_config",
]
