"""The JSON Schema that editors use for profiles is the one that the models make."""

import re
import tomllib
from pathlib import Path

from drivers.message_map import MqttMap
from drivers.mqtt.message import table_reader
from drivers.profiles import load_profile, parse_profile
from drivers.profiles.schema import profile_schema, schema_text
from drivers.quantity import Quantity

DOCS = Path(__file__).parents[2] / "docs"


def test_the_schema_in_docs_is_up_to_date() -> None:
    written = (DOCS / "profile.schema.json").read_text(encoding="utf-8")

    assert written == schema_text(), "run: python -m drivers.profiles.schema > docs/profile.schema.json"


def test_the_schema_refuses_unknown_keys_in_every_table() -> None:
    schema = profile_schema()

    tables = [schema, *schema["$defs"].values()]
    assert [t for t in tables if "properties" in t and t["additionalProperties"] is not False] == []


def test_every_key_is_explained() -> None:
    schema = profile_schema()

    keys = [
        (name, key, text)
        for name, table in [("file", schema), *schema["$defs"].items()]
        for key, text in table.get("properties", {}).items()
    ]
    assert [(name, key) for name, key, text in keys if not text.get("description")] == []
    assert len(keys) > 70


def test_the_examples_in_the_guide_are_profiles_that_load_and_mean_what_they_say() -> None:
    guide = (DOCS / "adding-a-device.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    whole = [text for text in examples if "title" in tomllib.loads(text)]

    meter, rack = (parse_profile("mine", text, "mine.toml") for text in whole)
    assert meter.vectors
    assert meter.map.points
    assert isinstance(rack.map, MqttMap)
    (vector,) = rack.map.vectors
    reader = table_reader(rack.map, rack.map.topics[0], rack.setpoint)
    assert reader.read(vector.payload.encode()) == {Quantity.POWER: 8250, Quantity.SETPOINT: 12_000}
    named = set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)\.toml`", guide)) - {"my-meter"}
    assert all(load_profile(name) for name in named)
