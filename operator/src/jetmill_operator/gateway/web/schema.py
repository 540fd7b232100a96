"""The OpenAPI 3.1 document: Litestar's, with what it leaves out: problems, rights, how to log in, and that unknown
names in bodies are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi import OpenAPIConfig

from jetmill.metric import find_version
from jetmill_operator.gateway.access.right import Scope
from jetmill_operator.gateway.web.body import In
from jetmill_operator.gateway.web.credential import SESSION_COOKIE
from jetmill_operator.gateway.web.guard import LOGIN, right_of
from jetmill_operator.gateway.web.problem import MEDIA_TYPE, TYPES

DESCRIPTION = """Background jobs: look at them, enqueue them, act on them.

Every route needs a right, which Kubernetes' RBAC gives (`x-jetmill-right`). Errors are problems by RFC 9457."""

_ALWAYS = ("invalid-request", "invalid-parameter", "internal-error")
_KNOWN = ("unauthenticated", "too-many-requests", "access-unavailable", "bus-unavailable")
_BODY = ("too-large", "unsupported-media-type", "invalid-input")
_DECLARED = ("not-found", "cluster-unavailable")
_EDITED = (
    "cluster-refused",
    "declared-in-file",
    "precondition-failed",
    "precondition-required",
    "invalid-declaration",
)
_OPERATION = ("not-found", "confirm-count", "too-large", "projection-unavailable", "projection-behind")
_PROBLEM = "#/components/schemas/Problem"
_TEXT = re.compile(r"\{([a-z_]+)\}")
Document = dict[str, Any]


def build_document(handlers: Sequence[BaseRouteHandler]) -> Document:
    """Build the document of the handlers that are in it."""
    shown = [one for one in handlers if isinstance(one, HTTPRouteHandler) and one.include_in_schema is not False]
    config = OpenAPIConfig(
        title="Jetmill", version=find_version(), description=DESCRIPTION, use_handler_docstrings=True
    )
    # An application that serves nobody: Litestar gives the document of what is registered, and its own routes to it.
    document = Litestar(route_handlers=shown, openapi_config=config, logging_config=None).openapi_schema.to_schema()
    by_operation = {(path, method.lower()): one for one in shown for path in one.paths for method in one.http_methods}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _complete(operation, by_operation[_TEXT.sub(r"{\1:str}", path), method])
    components = document["components"]
    components["schemas"] |= _problem_schemas()
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A ServiceAccount's token"},
        "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
    }
    closed = {one.__name__ for one in In.__subclasses__()}
    for name, schema in components["schemas"].items():
        if name.rsplit("_", 1)[-1] in closed:
            schema["additionalProperties"] = False
    return dict(document)


def _complete(operation: Document, handler: HTTPRouteHandler) -> None:
    right = right_of(handler)
    assert right is not None
    slugs = list(_ALWAYS)
    if right.scope is not Scope.NOBODY:
        slugs += _KNOWN
        operation["security"] = [{"bearer": []}, {"session": []}]
        operation["x-jetmill-right"] = {"verb": right.verb, "resource": right.resource} if right.resource else {}
    if right.resource:
        slugs += ["forbidden", "namespace-not-served"]
    if right.scope is Scope.JOB:
        slugs += ["job-not-found", "job-state"]
    if operation["tags"] == ["declarations"]:
        slugs += _DECLARED
        if right.verb in ("create", "update", "patch", "delete"):
            slugs += _EDITED
    if operation["tags"] == ["schedules"]:
        slugs += _DECLARED
        if right.verb in ("create", "patch"):
            slugs += ["job-state", "invalid-input", *_EDITED]
    if operation["tags"] == ["operations"]:
        slugs += _OPERATION
    if "requestBody" in operation:
        slugs += _BODY
        operation["requestBody"]["required"] = True
    if handler.opt.get(LOGIN):
        slugs += ["unauthenticated", "foreign-origin", "too-many-requests", "access-unavailable"]
    responses: Document = operation["responses"]
    responses.pop("400", None)
    for slug in dict.fromkeys(slugs):
        status, title = TYPES[slug]
        content = {MEDIA_TYPE: {"schema": {"$ref": _PROBLEM}}}
        responses.setdefault(str(status), {"description": title, "content": content})
    _add_statuses(operation, handler)


def _add_statuses(operation: Document, handler: HTTPRouteHandler) -> None:
    """Answers besides the usual one, with its shape."""
    responses: Document = operation["responses"]
    usual = next((responses[code] for code in ("200", "201") if code in responses), None)
    name = handler.handler_name
    shown = usual or {"description": "Done"}
    if name in ("cancel_job", "retry_job", "discard_job", "reschedule_job"):
        responses.pop("201", None)
        codes = {"cancel_job": ("200", "202"), "retry_job": ("202",)}.get(name, ("200",))
        responses |= {code: {**shown, "description": "What stands now"} for code in codes}
    if name in ("create_job", "trigger_schedule"):
        responses["200"] = {**shown, "description": "There was a job of that id already"}
    if name == "create_job":
        operation["parameters"] = [*operation.get("parameters", ()), _header("Idempotency-Key")]
    if name == "get_job":
        responses["304"] = {"description": "As it was (`If-None-Match`)"}
        operation["parameters"] = [*operation.get("parameters", ()), _header("If-None-Match")]
    if name in ("create_job", "get_job", "get_result"):
        operation["parameters"] = [*operation.get("parameters", ()), _header("Prefer")]


def _header(name: str) -> Document:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}


def _problem_schemas() -> Document:
    text = {"type": "string"}
    fault = {
        "type": "object",
        "required": ["detail"],
        "properties": dict.fromkeys(("detail", "pointer", "parameter"), text),
    }
    properties: Document = {
        "type": {"type": "string", "format": "uri"},
        "title": text,
        "status": {"type": "integer"},
        "detail": text,
        "instance": {"type": "string", "format": "uri"},
        "cure": text,
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
        "retryable": {"type": "boolean"},
        "count": {"type": "integer"},
    }
    required = ["type", "title", "status", "detail"]
    return {"Problem": {"type": "object", "required": required, "properties": properties}, "Fault": fault}
