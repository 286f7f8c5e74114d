"""What every table of a profile's file has in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Table(BaseModel):
    """A table of the file: no key that nobody knows, no infinity."""

    # Not `strict`: TOML writes 3500 where a float is meant, and enumerations as strings.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
