"""What a model refuses, said as people say it: field, what is wrong, what to do.

`jetmill dev` and `jetmill plan` add file and line, the operator writes it into the condition `Stalled`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

CLOSE = 0.75
ValuePath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One value that cannot be obeyed."""

    path: ValuePath
    what: str
    cure: str

    @property
    def field(self) -> str:
        """The path as people write it."""
        return format_path(self.path)

    def __str__(self) -> str:
        return f"{self.field}: {self.what}; {self.cure}"


def format_path(path: ValuePath) -> str:
    """Write a path as people do: `spec.worker.env[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def suggest(name: str, known: Iterable[str]) -> str | None:
    """`did you mean …?`, if something is close; upper and lower case make no difference."""
    folded = {word.lower().replace("_", ""): word for word in known}
    close = difflib.get_close_matches(name.lower().replace("_", ""), folded, n=1, cutoff=CLOSE - 0.1)
    return f"did you mean {folded[close[0]]}?" if close else None


def list_refusals(error: ValidationError, model: type[BaseModel]) -> list[Refusal]:
    """Say all that `model` refused, in the order of its fields."""
    return [_build_refusal(details, model) for details in error.errors(include_url=False)]


def _build_refusal(details: ErrorDetails, model: type[BaseModel]) -> Refusal:
    path = details["loc"]
    refusal = details.get("ctx", {}) if details["type"] == "refused" else {}
    for part in filter(None, refusal.get("field", "").split(".")):
        path = (*path, int(part) if part.isdigit() else part)
    what, cure = _explain(details, path, model)
    return Refusal(path, what, cure)


def _explain(details: ErrorDetails, path: ValuePath, model: type[BaseModel]) -> tuple[str, str]:
    """What is wrong and what to do, in our words where pydantic's are a programmer's."""
    siblings, doc = _describe(path, model)
    shown = f"{details['input']!r:.60}"
    match details["type"]:
        case "refused":
            return details["msg"], str(details["ctx"]["cure"])
        case "extra_forbidden":
            name = str(path[-1])
            return "unknown field", suggest(name, siblings) or f"the fields here are {', '.join(siblings)}"
        case "missing":
            return "is missing", doc or "add it"
        case "string_pattern_mismatch":
            return f"{shown} does not fit", doc
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{shown} is no mapping", "write its fields below it, indented"
        case _:
            return f"{shown}: {_lower(details['msg'])}", doc or "change it"


def _describe(path: ValuePath, root: type[BaseModel]) -> tuple[list[str], str]:
    """The names of the fields beside the last part of `path`, and what its own docstring says."""
    model: type[BaseModel] | None = root
    siblings, doc = list[str](), ""
    for part in path:
        if isinstance(part, int):
            continue
        if model is None:
            return [], doc
        fields = {info.alias or name: info for name, info in model.model_fields.items()}
        siblings = list(fields)
        info = fields.get(str(part))
        doc = _lower((info.description or "").replace("\n", " ").rstrip(".")) if info else ""
        model = _find_model(info.annotation) if info else None
    return siblings, doc


def _lower(text: str) -> str:
    """Begin without a capital."""
    return text[:1].lower() + text[1:]


def _find_model(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation: itself, or in a list or an optional."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_find_model, get_args(annotation))), None)
