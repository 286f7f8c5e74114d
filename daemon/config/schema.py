"""JSON Schema of the configuration file, for completion in editors.

`python -m daemon.config.schema > docs/config.schema.json` writes it.
"""

import json
import sys
from typing import Any

from daemon.config.models import Document


def config_schema() -> dict[str, Any]:
    """The schema, from the same models that check the file."""
    schema = Document.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Quotawatt site configuration",
        # What must be there may be in a file of conf.d: editors look at one file at a time.
        "required": [],
    }


def schema_text() -> str:
    """The schema as it stands in the repository."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
