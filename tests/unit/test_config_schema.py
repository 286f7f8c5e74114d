"""The JSON Schema that editors use is the one that the models make."""

from pathlib import Path

from daemon.config.schema import config_schema, schema_text

IN_DOCS = Path(__file__).parents[2] / "docs" / "config.schema.json"


def test_the_schema_in_docs_is_up_to_date() -> None:
    written = IN_DOCS.read_text(encoding="utf-8")

    assert written == schema_text(), "run: python -m daemon.config.schema > docs/config.schema.json"


def test_the_schema_refuses_unknown_keys_in_every_table() -> None:
    schema = config_schema()

    tables = [schema, *schema["$defs"].values()]
    assert [
        table for table in tables if "properties" in table and table["additionalProperties"] is not False
    ] == []


def test_every_key_tells_what_would_be_right() -> None:
    schema = config_schema()

    keys = [
        (name, key, text)
        for name, table in [("file", schema), *schema["$defs"].items()]
        for key, text in table.get("properties", {}).items()
    ]
    assert [(name, key) for name, key, text in keys if not text.get("description")] == []
    assert len(keys) > 50
