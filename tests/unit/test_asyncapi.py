"""The AsyncAPI document in docs is the one that the models make, and the models are what is on the wire."""

import json
from pathlib import Path
from typing import Any

import pytest

from daemon.commands.words import Lane, Op, Role
from daemon.mqtt.asyncapi import asyncapi, text
from daemon.mqtt.topics import Topics

IN_DOCS = Path(__file__).parents[2] / "docs" / "asyncapi.json"


def test_the_document_in_docs_is_up_to_date() -> None:
    written = IN_DOCS.read_text(encoding="utf-8")
    assert written == text(), "run: python -m daemon.mqtt.asyncapi > docs/asyncapi.json"


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [ref for inner in value.values() for ref in _references(inner)]
    return [ref for inner in value for ref in _references(inner)] if isinstance(value, list) else []


def test_every_reference_leads_somewhere() -> None:
    document = asyncapi()
    references = _references(document)
    assert len(references) > 30
    for reference in references:
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def test_every_topic_is_there_under_its_name() -> None:
    topics, site = Topics("{site}"), asyncapi()["channels"]
    wanted = {topics.lane(lane) for lane in Lane}
    wanted |= {topics.state, topics.telemetry, topics.event, topics.rsp("{jti}")}
    assert {channel["address"] for channel in site.values()} == wanted


@pytest.mark.parametrize(
    ("role", "operations"),
    [
        (Role.DISPATCHER, {Op.PING, Op.PLAN}),
        (Role.OPERATOR, set(Op) - {Op.FLUSH, Op.RELOAD}),
        (Role.ENGINEER, set(Op)),
    ],
)
def test_every_role_has_its_operations_with_their_arguments(role: Role, operations: set[Op]) -> None:
    variants = asyncapi()["components"]["schemas"][f"{role.title()}Claims"]["oneOf"]
    assert {variant["properties"]["op"]["const"] for variant in variants} == operations
    for variant in variants:
        assert variant["additionalProperties"] is False
        assert variant["properties"]["args"]["additionalProperties"] is False


def test_unknown_members_are_refused_everywhere() -> None:
    schemas = asyncapi()["components"]["schemas"]
    objects = [schema for schema in schemas.values() if "properties" in schema]
    assert len(objects) > 10
    assert all(schema["additionalProperties"] is False for schema in objects)


def test_times_are_text_on_the_wire() -> None:
    entry = asyncapi()["components"]["schemas"]["Entry"]["properties"]
    assert entry["start"]["type"] == "string"
    assert json.dumps(entry).count("integer") == 1
