"""AsyncAPI 3 document of the site's topics, made from the models that check and describe the messages.

`python -m daemon.mqtt.asyncapi > docs/asyncapi.json` writes it.
"""

import json
import sys
from typing import Any

from pydantic import BaseModel

from daemon.commands import claims
from daemon.commands.words import KIB, RSP_TYP, Lane, Op, Role, may
from daemon.mqtt import said
from daemon.mqtt.topics import ROOT

JOSE = "application/jose"
JSON = "application/json"

_SAID: dict[str, tuple[tuple[type[BaseModel], ...], str]] = {
    "state": ((said.SiteState, said.SiteOffline), "QoS 1, retained; also the will"),
    "telemetry": ((said.Telemetry,), "QoS 0"),
    "event": ((said.AlarmEvent, said.StateEvent, said.RefusedEvent), "QoS 1"),
}


def asyncapi() -> dict[str, Any]:
    """The document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Quotawatt site",
            "version": "v1",
            "description": (
                "What a site takes and says over MQTT. Orders and answers are compact JWS (EdDSA, Ed25519; "
                "protected header exactly alg, kid, typ); `x-jws-payload` names the schema of their claims. "
                "The rest is unsigned hints."
            ),
        },
        "defaultContentType": JSON,
        "servers": {
            "broker": {
                "host": "broker.example:8883",
                "protocol": "secure-mqtt",
                "protocolVersion": "5.0",
                "bindings": {"mqtt": {"clientId": "quotawatt-{site}", "cleanSession": False}},
            }
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def text() -> str:
    """The document as it stands in the repository."""
    return json.dumps(asyncapi(), indent=2, ensure_ascii=False) + "\n"


def _channels() -> dict[str, Any]:
    names = [*(lane.value for lane in Lane), "rsp/{jti}", *_SAID]
    return {_key(name): _channel(name) for name in names}


def _key(name: str) -> str:
    return name.replace("/{jti}", "").replace("/", "_")


def _channel(name: str) -> dict[str, Any]:
    parameters = {"site": {"description": "The site's id."}}
    if "{jti}" in name:
        parameters["jti"] = {"description": "Of the message that is answered."}
    messages = [_key(name)] if name not in _SAID else [model.__name__ for model in _SAID[name][0]]
    return {
        "address": f"{ROOT}/{{site}}/{name}",
        "parameters": parameters,
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
    }


def _operations() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for lane in Lane:
        operation = _operation("receive", _key(lane.value), retain=lane is Lane.QUOTA)
        if lane is not Lane.LEASE:
            operation["reply"] = {"channel": {"$ref": "#/channels/rsp"}}
        found[f"take_{_key(lane.value)}"] = operation
    found["answer"] = _operation("send", "rsp", retain=False)
    for name in _SAID:
        found[f"say_{name}"] = _operation("send", name, retain=name == "state", qos=int(name != "telemetry"))
    return found


def _operation(action: str, channel: str, *, retain: bool, qos: int = 1) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "bindings": {"mqtt": {"qos": qos, "retain": retain}},
    }


def _messages() -> dict[str, Any]:
    found = {_key(lane.value): _order(lane) for lane in Lane}
    found["rsp"] = _signed(RSP_TYP, "AnswerClaims", None, "The site's answer, by its own key.")
    for models, how in _SAID.values():
        for model in models:
            payload = {"$ref": f"#/components/schemas/{model.__name__}"}
            found[model.__name__] = {"contentType": JSON, "summary": how, "payload": payload}
    return found


def _order(lane: Lane) -> dict[str, Any]:
    schema = {Lane.QUOTA: "QuotaClaims", Lane.LEASE: "LeaseClaims"}.get(lane, f"{lane.role.title()}Claims")
    limit = f"By a key of the role {lane.role}; at most {lane.max_bytes // KIB} KiB."
    return _signed(lane.typ, schema, lane.max_bytes, limit)


def _signed(typ: str, schema: str, most: int | None, summary: str) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "type": "string",
        "pattern": r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$",
        "x-jws-typ": typ,
        "x-jws-payload": {"$ref": f"#/components/schemas/{schema}"},
    }
    if most is not None:
        payload["maxLength"] = most
    return {"contentType": JOSE, "summary": summary, "payload": payload}


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    models: list[type[BaseModel]] = [claims.LeaseClaims, claims.Entry, said.AnswerClaims]
    models += [model for described, _ in _SAID.values() for model in described]
    for model in models:
        found[model.__name__] = _schema(found, model)
    quota = _schema(found, claims.QuotaClaims)
    quota["properties"]["schedule"] = {
        "type": "array",
        "minItems": 1,
        "maxItems": claims.MAX_ENTRIES,
        "items": {"$ref": "#/components/schemas/Entry"},
    }
    found["QuotaClaims"] = quota
    for role in Role:
        found[f"{role.title()}Claims"] = {"oneOf": [_command(found, op) for op in Op if may(role, op)]}
    return dict(sorted(found.items()))


def _command(found: dict[str, Any], op: Op) -> dict[str, Any]:
    schema = _schema(found, claims.CommandClaims)
    schema["title"] = op.value
    schema["properties"]["op"] = {"const": op.value}
    schema["properties"]["args"] = _schema(found, claims.ARGUMENTS[op])
    # It may be left out, and is never null.
    schema["properties"]["expect_rev"] = {"type": "integer", "minimum": 0}
    return schema


def _schema(found: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model; what it refers to is added to `found`."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    found.update(schema.pop("$defs", {}))
    return schema


if __name__ == "__main__":
    sys.stdout.write(text())
