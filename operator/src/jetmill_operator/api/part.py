"""What the models of all kinds share: how fields are named, and refusals that say the field and the cure.

Manifests write camelCase, Python snake_case; unknown fields are refused, as an API server with strict field
validation does; values are not coerced (the text "3" is no number). The docstring under a field is its
description in the CRD and, in an error, the cure.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""An RFC 1123 label; the rule of `jetmill.protocol.name`, as a schema can say it."""


class Part(BaseModel):
    """A mapping in a manifest."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        allow_inf_nan=False,
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
    )


def build_refusal(field: str, what: str, cure: str) -> PydanticCustomError:
    """Build what a validator raises; `field` is the camelCase path from the validated value, `0.name` or empty."""
    # The texts go in as values: the template is formatted, and texts may hold braces.
    return PydanticCustomError("refused", "{what}", {"field": field, "what": what, "cure": cure})
