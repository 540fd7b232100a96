"""Bodies, problems and the API's own description, without a server."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill import errors
from jetmill_operator.gateway.access.right import RIGHTS
from jetmill_operator.gateway.log import EVENTS
from jetmill_operator.gateway.web.app import HANDLERS
from jetmill_operator.gateway.web.document import check_document
from jetmill_operator.gateway.web.guard import right_of
from jetmill_operator.gateway.web.page import render_page
from jetmill_operator.gateway.web.prefer import parse_wait
from jetmill_operator.gateway.web.problem import TYPES, ProblemError, explain
from jetmill_operator.gateway.web.schema import build_document

ROOT = Path(__file__).resolve().parents[3]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(json.dumps(build_document(HANDLERS)))  # type: ignore[no-any-return]


@given(VALUES)
def test_json_that_means_one_thing_is_let_in(value: object) -> None:
    check_document(json.dumps(value).encode())


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0123456789eE+-. tfn\\u', max_size=60).map(str.encode))
def test_of_any_bytes_a_refusal_is_the_worst_that_comes(data: bytes) -> None:
    with suppress(ProblemError):
        check_document(data)


@pytest.mark.parametrize("depth", [101, 900, 2_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_what_is_nested_too_deep_is_refused_however_deep(depth: int, opening: bytes, closing: bytes) -> None:
    with pytest.raises(ProblemError, match="100 deep"):
        check_document(opening * depth + b"1" + closing * depth)


def test_a_hundred_deep_is_deep_enough() -> None:
    check_document(b"[" * 100 + b"1" + b"]" * 100)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=5", 5),
        ("respond-async, wait=7", 7),
        ("Wait = 9", 9),
        ('wait="3"', 3),
        ("wait=99999999999999999999", 30),
        ("", None),
        ("wait", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=٣", None),
        ("waiting=1", None),
    ],
)
def test_a_preference_that_is_not_understood_is_ignored(header: str, seconds: int | None) -> None:
    assert parse_wait(header) == seconds


def test_every_error_of_ours_is_a_problem() -> None:
    for name in vars(errors):
        kind = getattr(errors, name)
        if not (isinstance(kind, type) and issubclass(kind, errors.JetmillError)):
            continue
        given: dict[str, Any] = {"JobFailedError": {"state": "failed"}, "PermissionDeniedError": {"subject": "s"}}
        problem, _ = explain(kind("what happened", **given.get(name, {})))
        slug = problem.type.rsplit("/", 1)[-1]
        assert TYPES[slug] == (problem.status, problem.title)
        if slug == "internal-error":
            assert "what happened" not in problem.detail


def test_what_we_did_not_foresee_says_nothing_of_itself() -> None:
    problem, _ = explain(RuntimeError("the password is hunter2"))
    assert problem.status == 500
    assert "hunter2" not in str(problem)


def test_the_description_has_every_route_its_right_and_its_problems(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    there = {
        (method, path.replace(":str}", "}"))
        for one in HANDLERS
        if getattr(one, "include_in_schema", None) is not False
        for path in one.paths
        for method in getattr(one, "http_methods", ())
    }
    assert described == there
    for item in document["paths"].values():
        for operation in item.values():
            assert operation["summary"]
            for code, response in operation["responses"].items():
                if int(code) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]
            if "security" in operation:
                assert {"401", "429", "503"} <= operation["responses"].keys()


def test_bodies_that_come_in_are_closed_in_the_description_too(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("CreateJob", "CreateJobs", "Reschedule", "Login"):
        assert schemas[name]["additionalProperties"] is False
    text = json.dumps(document)
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in schemas


def test_the_page_needs_nothing_from_elsewhere_and_no_script(document: dict[str, Any]) -> None:
    page = render_page(document)
    assert "<script" not in page
    assert not re.search(r"""(src|href)=['"]?(https?:)?//""", page)
    assert "/api/v1/jobs/{job_id}/cancel" in page
    assert "create jobs/cancel" in page


def rows_of(file: str) -> dict[str, list[str]]:
    lines = (ROOT / "docs" / file).read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| `")]
    return {row[0].strip("` "): row[1:] for row in cells}


def test_the_guide_shows_every_right() -> None:
    rows = rows_of("gateway.md")
    assert {f"{right.verb} {right.resource}": [text] for right, text in RIGHTS.items()}.items() <= rows.items()


def test_the_reference_shows_every_type_of_problem() -> None:
    rows = rows_of("rest.md")
    assert {slug: [str(status), title] for slug, (status, title) in TYPES.items()}.items() <= rows.items()


def test_the_table_of_logs_is_what_is_logged() -> None:
    rows = rows_of("logging.md")
    assert {name: rows.get(name) for name in EVENTS} == {name: [text] for name, text in EVENTS.items()}
    folder = ROOT / "operator/src/jetmill_operator/gateway"
    logged = {
        name
        for file in folder.rglob("*.py")
        if "projection" not in file.relative_to(folder).parts
        for name in re.findall(r'\blog\.(?:debug|info|warning|error|exception)\(\s*"(\w+)"', file.read_text())
    }
    assert logged == EVENTS.keys()


def test_every_right_that_a_route_declares_is_in_the_table() -> None:
    declared = {right for one in HANDLERS if (right := right_of(one)) is not None and right.resource}
    assert declared
    assert declared <= RIGHTS.keys()
