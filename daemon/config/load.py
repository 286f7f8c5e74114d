"""From files to a `Config`, or to the list of all mistakes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from daemon.config.circuits import read_circuits, watts
from daemon.config.connections import check_serial_lines, check_without_tls
from daemon.config.devices import check_site_meter, read_devices
from daemon.config.keyfiles import NamedFiles
from daemon.config.models import (
    ControlTable,
    DevicesCsvTable,
    Document,
    EconomicsTable,
    HttpTable,
    KeysTable,
    ModbusTable,
    MqttTable,
    SettlementTable,
    SiteTable,
)
from daemon.config.problems import Entry, Problems, validate
from daemon.config.settings import (
    HASH_PER_THS_DAY,
    Config,
    Control,
    Economics,
    ExchangeKey,
    HttpListen,
    Mqtt,
    MqttProtocol,
    OnStop,
    Settlement,
    Site,
)
from daemon.config.sources import Sources, read_sources
from daemon.config.trust import public_jwk, read_trust
from daemon.config.urls import HTTP_PORTS, MQTT_PORTS, is_loopback, split_listen, split_url
from daemon.errors import ConfigurationError
from drivers.tls import TlsFileError, TlsFiles, client_context

Model = TypeVar("Model", bound=BaseModel)

_DAY_S = 86_400


def load_config(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read and check everything; connect to nothing.

    Args:
        path: the main file; `conf.d/*.toml` and relative names are beside it.
        environment: where `CREDENTIALS_DIRECTORY` is looked up; `None` = the process' own.

    Raises:
        ConfigurationError: with a line for every mistake.
    """
    problems = Problems()
    sources = read_sources(path, problems)
    if not sources.tables and not sources.lists and not sources.readable:
        raise ConfigurationError(problems.lines)
    reader = _Reader(sources, os.environ if environment is None else environment, problems)
    config = reader.read()
    if problems.lines or config is None:
        raise ConfigurationError(problems.lines)
    return config


class _Reader:
    """One pass over the sources. Every step notes its mistakes and goes on."""

    def __init__(self, sources: Sources, environment: Mapping[str, str], problems: Problems) -> None:
        self._sources = sources
        self._problems = problems
        self._files = NamedFiles(sources.path.parent, environment, problems)

    def read(self) -> Config | None:
        lists = self._sources.lists
        site = self._site()
        control = self._control()
        economics = self._economics()
        key, previous_key = self._site_keys()
        mqtt = self._mqtt()
        settlement = self._settlement()
        modbus_tls = self._modbus_tls()
        http = self._http()
        trust = read_trust(lists.get("trust.keys", []), self._problems)
        for entry in lists.get("devices_csv", []):
            validate(entry, DevicesCsvTable, self._problems)
        complete = self._sources.readable
        folder = self._sources.path.parent
        hall = read_devices(lists.get("devices", []), folder, self._problems, complete=complete)
        check_serial_lines(hall, self._problems)
        modbus = self._sources.tables.get("modbus")
        if complete and (modbus is None or "tls" not in modbus.raw):
            check_without_tls(hall, str(self._sources.path), self._problems)
        check_site_meter(hall, str(self._sources.path), self._problems)
        circuits = read_circuits(lists.get("circuits", []), hall, self._problems, complete=complete)
        if (
            site is None
            or control is None
            or economics is None
            or key is None
            or mqtt is None
            or http is None
        ):
            return None
        return Config(
            path=self._sources.path,
            site=site,
            control=control,
            economics=economics,
            site_key_path=key,
            mqtt=mqtt,
            settlement=settlement,
            modbus_tls=modbus_tls,
            trust_keys=trust,
            circuits=circuits,
            devices=tuple(hall.devices),
            http_listen=http,
            previous_key_path=previous_key,
        )

    def _table(self, name: str, model: type[Model], *, optional: bool = False) -> tuple[Entry, Model | None]:
        """A table and its model; a missing one that must be there is a mistake."""
        entry = self._sources.tables.get(name)
        file = str(self._sources.path)
        if entry is not None:
            return entry, validate(entry, model, self._problems)
        if optional:
            entry = Entry(name, file, {})
            return entry, validate(entry, model, self._problems)
        if self._sources.readable:
            self._problems.add(file, name, "is missing", Document.model_fields[name].description or "")
        return Entry(name, file, {}), None

    def _site(self) -> Site | None:
        entry, model = self._table("site", SiteTable)
        most, failsafe = _number(entry, "contract_max_mw"), _number(entry, "failsafe_mw")
        if most is not None and failsafe is not None and failsafe > most:
            what = f"is {failsafe} MW, above contract_max_mw ({most} MW)"
            entry.add(self._problems, ("failsafe_mw",), what, f"write at most {most}")
        if model is None:
            return None
        state_dir = self._sources.path.parent / model.state_dir
        if state_dir.exists() and not state_dir.is_dir():
            entry.add(self._problems, ("state_dir",), f"{state_dir} is no folder", "name a folder")
        return Site(
            id=model.id,
            contract_max_w=watts(model.contract_max_mw),
            failsafe_w=watts(model.failsafe_mw),
            interval_s=model.interval_s,
            state_dir=state_dir,
        )

    def _control(self) -> Control | None:
        _, model = self._table("control", ControlTable, optional=True)
        if model is None:
            return None
        return Control(
            lease_timeout_s=model.lease_timeout_s,
            failsafe_ramp_s=model.failsafe_ramp_s,
            ramp_up_pct_per_min=model.ramp_up_pct_per_min,
            settle_s=model.settle_s,
            on_stop=OnStop(model.on_stop),
        )

    def _economics(self) -> Economics | None:
        entry, model = self._table("economics", EconomicsTable, optional=True)
        per_day, per_th = _number(entry, "hash_per_ths_day"), _number(entry, "hash_per_th")
        if per_day is not None and per_th is not None:
            what = "is set beside hash_per_ths_day, which says the same"
            entry.add(self._problems, ("hash_per_th",), what, "keep one of the two")
        if model is None:
            return None
        if model.hash_per_th is not None:
            hash_per_ths_day = model.hash_per_th * _DAY_S
        else:
            hash_per_ths_day = HASH_PER_THS_DAY if model.hash_per_ths_day is None else model.hash_per_ths_day
        if hash_per_ths_day == model.gpu_per_hour == 0:
            what = "is 0, as gpu_per_hour is: no load is worth anything"
            entry.add(self._problems, ("hash_per_ths_day",), what, "write a price above 0 for one of them")
        return Economics(hash_per_ths_day, model.gpu_per_hour, model.currency)

    def _site_keys(self) -> tuple[Path | None, Path | None]:
        entry, _ = self._table("keys", KeysTable)
        return self._files.site_key(entry, "site"), self._files.site_key(entry, "previous")

    def _mqtt(self) -> Mqtt | None:
        entry, model = self._table("mqtt", MqttTable)
        self._check_transport(entry, "mqtt", "mqtts")
        password = self._files.password(entry, "password_file")
        if "password_file" in entry.raw and "username" not in entry.raw:
            entry.add(self._problems, ("password_file",), "is set without username", "set username too")
        ca, cert, key = self._tls_files(entry)
        if model is None:
            return None
        url, port = split_url(model.url, MQTT_PORTS)
        return Mqtt(
            host=url.hostname or "",
            port=port,
            tls=url.scheme == "mqtts",
            username=model.username,
            password=password,
            ca=ca,
            cert=cert,
            key=key,
            protocol=MqttProtocol(model.protocol),
        )

    def _settlement(self) -> Settlement | None:
        if "settlement" not in self._sources.tables:
            return None
        entry, model = self._table("settlement", SettlementTable)
        self._check_transport(entry, "http", "https")
        ca, cert, key = self._tls_files(entry)
        if model is None:
            return None
        split_url(model.url, HTTP_PORTS)
        return Settlement(
            url=model.url if model.url.endswith("/") else model.url + "/",
            keys=tuple(ExchangeKey(item.kid, public_jwk(item.jwk)) for item in model.keys),
            ca=ca,
            cert=cert,
            key=key,
            audience=model.audience,
        )

    def _modbus_tls(self) -> TlsFiles | None:
        modbus, model = self._table("modbus", ModbusTable, optional=True)
        raw = modbus.get("tls", dict)
        if raw is None:
            return None
        entry = Entry("modbus.tls", modbus.key_files.get("tls", modbus.file), raw)
        ca, cert, key = self._tls_files(entry)
        if model is None or ca is None or entry.bad:
            return None
        files = TlsFiles(ca, cert, key)
        try:
            client_context(files)
        except TlsFileError as error:
            entry.add(self._problems, (error.key,), error.what, error.right)
        return files

    def _http(self) -> HttpListen | None:
        _, model = self._table("http", HttpTable, optional=True)
        return HttpListen(*split_listen(model.listen)) if model is not None else None

    def _check_transport(self, entry: Entry, plain: str, secure: str) -> None:
        """Plaintext stays on this machine unless it was allowed; certificates need TLS."""
        text = entry.get("url", str)
        if text is None:
            return
        url, _ = split_url(text, {plain: 0, secure: 0})
        if url.scheme != plain:
            return
        if not is_loopback(url.hostname or "") and entry.get("allow_plaintext", bool) is not True:
            what = f'is "{text}", which is not encrypted and leaves this machine'
            right = f"write {secure}:// or set {entry.label}.allow_plaintext = true"
            entry.add(self._problems, ("url",), what, right)
        for name in ("ca", "cert", "key"):
            if name in entry.raw:
                what = f"has no effect with {plain}://"
                entry.add(self._problems, (name,), what, f"write {secure}:// in url, or leave it out")

    def _tls_files(self, entry: Entry) -> tuple[Path | None, Path | None, Path | None]:
        for one, other in (("cert", "key"), ("key", "cert")):
            if one in entry.raw and other not in entry.raw:
                entry.add(self._problems, (one,), f"is set without {other}", f"set {other} too")
        ca, cert = self._files.plain(entry, "ca"), self._files.plain(entry, "cert")
        return ca, cert, self._files.secret(entry, "key")


def _number(entry: Entry, key: str) -> float | None:
    value = entry.get(key, float)
    return value if value is not None else entry.get(key, int)
