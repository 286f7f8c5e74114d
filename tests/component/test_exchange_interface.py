"""The exchange's OpenAPI document: kept equal to the models, and to what is answered."""

import json
from pathlib import Path

from sim_devices.exchange.openapi import openapi_document
from tests.world.exchange_fuzz import fuzz

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.exchange.json"


def test_the_committed_document_is_that_of_the_models() -> None:
    committed = json.loads(COMMITTED.read_text(encoding="utf-8"))
    assert committed == openapi_document(), (
        "python -m sim_devices.exchange.openapi > docs/openapi.exchange.json"
    )


def test_strange_requests_get_documented_answers() -> None:
    answers = fuzz(examples=25)
    assert {("PUT", 201), ("PUT", 422), ("GET", 200)} <= set(answers)
    assert max(status for _, status in answers) < 500
