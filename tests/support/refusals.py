"""The table of what Jetmill refuses (refusals.yaml), for the tests of the models and those of a real API server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jetmill_operator.api import API_VERSION

LEAST: dict[str, dict[str, Any]] = {
    "Job": {"handler": "tasks:run", "worker": {"image": "shop:1"}},
    "ScheduledJob": {"jobRef": {"name": "report"}, "schedule": "0 9 * * MON-FRI"},
    "Webhook": {"events": ["job.failed"], "url": "https://hooks.example.com/jobs"},
}
"""The least spec of each kind that is accepted."""
NAME = "refused"


@dataclass(frozen=True, slots=True)
class Case:
    """Something that is refused."""

    name: str
    field: str
    """The path that is named."""
    says: str
    """A part of what the models say."""
    kind: str = "Job"
    spec: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    server: str | None = None
    """A part of what an API server says, where that differs."""
    at: str | None = None
    """The path that an API server names, where that is another one."""
    only: str = ""
    """models or server; empty: both."""
    why: str = ""
    before: dict[str, Any] | None = None
    """The spec that is there already."""

    def build_object(self) -> dict[str, Any]:
        """The object that is refused."""
        return build_object(self.kind, self.spec or {}, metadata=self.metadata or {})


def build_object(kind: str, spec: dict[str, Any], *, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object of a kind: the least that is accepted, with `spec` laid over it; None takes a field away."""
    laid = {**LEAST[kind], **spec}
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": NAME, **(metadata or {})},
        "spec": {field: value for field, value in laid.items() if value is not None},
    }


def read_cases() -> list[Case]:
    """Read the table."""
    rows = yaml.load((Path(__file__).parent / "refusals.yaml").read_text(), Loader=yaml.CSafeLoader)
    return [Case(**_expand(row)) for row in rows]


def _expand(value: Any) -> Any:
    """Write out the texts that are too long to be written down."""
    match value:
        case dict():
            return {key: _expand(item) for key, item in value.items()}
        case list():
            return [_expand(item) for item in value]
        case str():
            return re.sub(r"<(.) x (\d+)>", lambda found: found[1] * int(found[2]), value)
        case _:
            return value
