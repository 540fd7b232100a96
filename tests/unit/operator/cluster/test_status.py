"""What an answer of the API server means; the messages are the server's own (1.34)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jetmill_operator.cluster.errors import (
    AbsentError,
    ClusterError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    UnavailableError,
)
from jetmill_operator.cluster.status import error_of

TYPED = "failed to create typed patch object (shop/one; apps/v1, Kind=Deployment): "


def answer(code: int, message: str = "no", *, headers: dict[str, str] | None = None, **details: Any) -> ClusterError:
    status = {"kind": "Status", "apiVersion": "v1", "message": message, "code": code, "details": details}
    return error_of(code, json.dumps(status).encode(), headers or {})


@pytest.mark.parametrize(
    ("code", "expected", "retryable"),
    [
        (400, InvalidError, False),
        (401, ForbiddenError, False),
        (403, ForbiddenError, False),
        (404, AbsentError, False),
        (405, AbsentError, False),
        (409, ConflictError, True),
        (410, UnavailableError, True),
        (413, InvalidError, False),
        (415, InvalidError, False),
        (418, ClusterError, False),
        (422, InvalidError, False),
        (429, UnavailableError, True),
        (500, UnavailableError, True),
        (502, UnavailableError, True),
        (503, UnavailableError, True),
        (504, UnavailableError, True),
    ],
)
def test_each_code_has_its_error(code: int, expected: type[ClusterError], retryable: bool) -> None:
    error = answer(code, "what it said")
    assert type(error) is expected
    assert (error.code, error.retryable, error.message) == (code, retryable, "what it said")


def test_a_500_of_a_typed_patch_is_for_ever() -> None:
    for said, field in (
        (".spec.size: expected numeric (int or float), got string", "spec.size"),
        (".spec.nosuch: field not declared in schema", "spec.nosuch"),
        ('.spec.env: duplicate entries for key [name="A"]', "spec.env"),
        ("errors:\n  .spec.a: field not declared in schema\n  .spec.b: field not declared in schema", "spec.a"),
    ):
        error = answer(500, TYPED + said)
        assert isinstance(error, InvalidError)
        assert not error.retryable
        assert error.field == field


def test_the_first_cause_names_the_field() -> None:
    error = answer(422, causes=[{"reason": "FieldValueInvalid", "message": "no", "field": "spec.replicas"}])
    assert isinstance(error, InvalidError)
    assert error.field == "spec.replicas"


@pytest.mark.parametrize(("reason", "terminating"), [("NamespaceTerminating", True), ("Other", False)])
def test_a_403_may_mean_that_the_namespace_is_going(reason: str, terminating: bool) -> None:
    error = answer(403, causes=[{"reason": reason, "message": "namespace shop is being terminated"}])
    assert isinstance(error, ForbiddenError)
    assert error.terminating == terminating


@pytest.mark.parametrize(("details", "unserved"), [({"name": "one", "kind": "jobs"}, False), ({}, True)])
def test_a_404_may_mean_the_kind(details: dict[str, Any], unserved: bool) -> None:
    error = answer(404, **details)
    assert isinstance(error, AbsentError)
    assert error.unserved == unserved


def test_the_server_says_when_to_come_again_in_a_header_or_in_the_status() -> None:
    for error in (answer(429, headers={"retry-after": "3"}), answer(429, retryAfterSeconds=3)):
        assert isinstance(error, UnavailableError)
        assert error.retry_after_seconds == 3
    for error in (answer(503), answer(503, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})):
        assert isinstance(error, UnavailableError)
        assert error.retry_after_seconds is None


@pytest.mark.parametrize("content", [b"upstream is away", b'{"kind": "Pod"}', b"[1]", b"\xff\xfe", b""])
def test_what_is_no_status_is_quoted(content: bytes) -> None:
    error = error_of(502, content, {})
    assert isinstance(error, UnavailableError)
    assert error.message == (content.decode(errors="replace") or "HTTP 502")
