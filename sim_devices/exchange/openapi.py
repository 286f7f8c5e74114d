"""The exchange's interface as an OpenAPI 3.1 document, made of its models.

`python -m sim_devices.exchange.openapi` prints it; docs/openapi.exchange.json is what it prints.
"""

import json
import sys
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sim_devices.exchange.answers import TYPE_BASE, HeadAnswer, Problem, ReceiptClaims, StatementAnswer, Word
from sim_devices.exchange.encoding import ID_FORM
from sim_devices.exchange.intake import MAX_RECORDS, MAX_SENT, MAX_UNPACKED, MEDIA_TYPE
from sim_devices.exchange.receipts import MEDIA_TYPE as RECEIPT_MEDIA_TYPE
from sim_devices.exchange.records import Correction, DayClose, EpochOpen, Event, Gap, Interval

RECORDS: tuple[type[BaseModel], ...] = (Interval, Gap, Event, Correction, DayClose, EpochOpen)
ANSWERS: tuple[type[BaseModel], ...] = (HeadAnswer, StatementAnswer, ReceiptClaims, Problem)

_WORDS: dict[int, tuple[Word, ...]] = {
    400: ("digest-mismatch", "invalid-request"),
    401: ("unauthorized",),
    403: ("forbidden",),
    404: ("not-found", "no-data"),
    409: ("sequence-gap", "chain-broken"),
    413: ("too-large",),
    415: ("unsupported-type",),
    422: ("invalid-record", "ledger-fork"),
}
_PREFIX = "#/components/schemas/{model}"


def openapi_document() -> dict[str, Any]:
    """The document."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in (*RECORDS, *ANSWERS)], ref_template=_PREFIX, by_alias=True
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Quotawatt settlement exchange",
            "version": "v1",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
            "description": "Takes the interval ledgers of sites, record by record, and gives receipts. "
            "What a record is and how a ledger is checked: docs/ledger.md.",
        },
        "security": [{"bearer": []}],
        "paths": {
            "/v1/sites/{site}/ledger/{epoch}/{span}": {"parameters": [_SITE, _EPOCH, _SPAN], "put": _put()},
            "/v1/sites/{site}/ledger/head": {"parameters": [_SITE], "get": _head()},
            "/v1/sites/{site}/statement": {"parameters": [_SITE], "get": _statement()},
        },
        "components": {
            "schemas": {**schemas["$defs"], "Record": {"oneOf": [_ref(model) for model in RECORDS]}},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "typ JWT, EdDSA by the site's key: iss = sub = site, aud, iat, "
                    "exp ≤ iat + 60, jti.",
                }
            },
        },
    }


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _PREFIX.format(model=model.__name__)}


def _path(name: str, pattern: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


_NUMBER = "[1-9][0-9]{0,14}"
_SITE = _path("site", f"^{ID_FORM}$", "The site's id.")
_EPOCH = _path("epoch", f"^{_NUMBER}$", "Epoch of the records.")
_SPAN = _path("span", f"^{_NUMBER}-{_NUMBER}$", "FIRST-LAST: seq of the first and of the last record sent.")


def _put() -> dict[str, Any]:
    receipt = {
        RECEIPT_MEDIA_TYPE: {
            "schema": {
                "type": "string",
                "contentMediaType": "application/jose",
                "contentSchema": _ref(ReceiptClaims),
            }
        }
    }
    return {
        "operationId": "putLedger",
        "summary": "Deliver consecutive records of one epoch; all of them are taken, or none.",
        "description": "Checked in the order 401, 403, 413, 415, 400, 422 invalid-record, 422 ledger-fork, "
        f"409. At most {MAX_RECORDS} records, {MAX_SENT} bytes sent, {MAX_UNPACKED} unpacked.",
        "parameters": [
            {
                "name": "Content-Digest",
                "in": "header",
                "required": True,
                "description": "RFC 9530, over the bytes sent.",
                "schema": {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
            },
            {
                "name": "Content-Encoding",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "enum": ["gzip", "identity"]},
            },
        ],
        "requestBody": {
            "required": True,
            "description": "A record's JWS (typ qw-rec+jws, payload: Record) a line, each ended by LF.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        "responses": {
            "200": {"description": "All known: the stored receipt that covers them.", "content": receipt},
            "201": {"description": "Taken: a receipt through the last record.", "content": receipt},
            **_problems(400, 401, 403, 404, 409, 413, 415, 422),
        },
    }


def _head() -> dict[str, Any]:
    return {
        "operationId": "getHead",
        "summary": "The last record of an epoch, by default of the newest: a hint.",
        "parameters": [
            {
                "name": "epoch",
                "in": "query",
                "required": False,
                "schema": {"type": "string", "pattern": f"^{_NUMBER}$"},
            }
        ],
        "responses": {
            "200": {
                "description": "The head.",
                "content": {"application/json": {"schema": _ref(HeadAnswer)}},
            },
            **_problems(400, 401, 403, 404),
        },
    }


def _statement() -> dict[str, Any]:
    return {
        "operationId": "getStatement",
        "summary": "A UTC day as it is settled.",
        "parameters": [
            {
                "name": "day",
                "in": "query",
                "required": True,
                "schema": {"type": "string", "format": "date"},
            }
        ],
        "responses": {
            "200": {
                "description": "The statement.",
                "content": {"application/json": {"schema": _ref(StatementAnswer)}},
            },
            **_problems(400, 401, 403, 404),
        },
    }


def _problems(*statuses: int) -> dict[str, Any]:
    return {str(status): _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    words = _WORDS[status]
    named = {"type": {"enum": [TYPE_BASE + word for word in words]}, "status": {"const": status}}
    schema = {"allOf": [_ref(Problem), {"properties": named}]}
    return {"description": ", ".join(words), "content": {"application/problem+json": {"schema": schema}}}


def main() -> None:
    """Print the document."""
    assert {word for words in _WORDS.values() for word in words} <= set(get_args(Word))
    sys.stdout.write(json.dumps(openapi_document(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
