"""JSON Schema of a device profile's file, for completion in editors.

`python -m drivers.profiles.schema > docs/profile.schema.json` writes it.
"""

import json
import sys
from typing import Any

from drivers.profiles.document import Document


def profile_schema() -> dict[str, Any]:
    """The schema, from the same models that check the file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Document.model_json_schema(),
        "title": "Quotawatt device profile",
    }


def schema_text() -> str:
    """The schema as it stands in the repository."""
    return json.dumps(profile_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
