"""Filters: what matches, what cannot be asked, and where a fault is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from jetmill_operator.dispatch.expression import (
    MAX_CHARACTERS,
    ExpressionError,
    Position,
    compile_expression,
)


def make_event(**data: Any) -> dict[str, Any]:
    return {"event": {"specversion": "1.0", "id": "e1", "type": "order.placed", "source": "/shop", "data": data}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event.data.amount > 100", True),
        ("event.data.amount > 150", False),
        ("event.data.amount >= 149.5 && event.type == 'order.placed'", True),
        ("event.type.startsWith('order.') && event.source.matches('^/sh')", True),
        ("event.data.lines.exists(line, line.sku == 'a1' && line.count > 1)", True),
        ("has(event.data.coupon) && event.data.coupon == 'X'", False),
        ("event.data.customer.lowerAscii() in ['ada', 'eve']", True),
        ("event.data.paid", True),
        ("event.data.note == null", True),
    ],
)
def test_an_expression_is_asked_of_the_whole_event(text: str, expected: bool) -> None:
    event = make_event(amount=150, lines=[{"sku": "a1", "count": 2}], customer="Ada", paid=True, note=None)
    assert compile_expression(text).matches(event) is expected


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("event.data.amount >> 100", 1, 20, "extraneous input '>'"),
        ("event.data.amount > 100 &&\n  && true", 2, 3, "extraneous input '&&'"),
        ("event.data.amount >", 1, 20, "<EOF>"),
        ("", 1, 1, "<EOF>"),
        ("'unclosed", 1, 1, "token recognition"),
        ("event.data.amount > 100 && job == 'x'", 1, 28, "undeclared reference to 'job'"),
        ("'ü€' == event.type && nope(1)", 1, 27, "undeclared reference to 'nope'"),
        ("1 > 'a'", 1, 3, "no matching overload"),
        ("event", 1, 1, "true or false"),
        ("1 + 2", 1, 1, "true or false"),
        ("(" * 500 + "true" + ")" * 500, 1, 1, "recursion limit"),
        ("true" + " || true" * MAX_CHARACTERS, 1, MAX_CHARACTERS + 1, "longer"),
    ],
)
def test_a_bad_expression_says_what_is_wrong_and_where(text: str, line: int, column: int, part: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert caught.value.position == Position(line, column)
    assert part in caught.value.reason
    assert f"line {line}, column {column}" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "event.data.absent > 100",
        "event.data.name > 100",
        "1 / event.data.zero > 1",
        "event.data.huge > 1",
        "event.data.name",
        "event.data.name.matches('(')",
        "event.data.many.all(a, event.data.many.all(b, event.data.many.all(c, a + b + c >= 0)))",
    ],
)
def test_what_an_expression_cannot_be_asked_of_does_not_match_and_is_counted(text: str) -> None:
    expression = compile_expression(text)
    event = make_event(name="x", zero=0, huge=2**70, many=list(range(200)))
    assert not expression.matches(event)
    assert not expression.matches(event)
    assert expression.failures == 2
    assert expression.last_failure


def test_an_expression_that_fits_no_event_is_said_once() -> None:
    expression = compile_expression("event.data.absent > 100")
    with capture_logs() as logs:
        for _ in range(3):
            expression.matches(make_event())
    assert [entry["event"] for entry in logs] == ["expression_failed"]


def test_every_filter_of_the_guide_is_one() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "events.md").read_text()
    table = guide.partition("| expression | true of |")[2].partition("\n\n")[0]
    expressions = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert len(expressions) >= 6
    for text in expressions:
        expression = compile_expression(text)
        event = make_event(amount=150, coupon="X", lines=[{"count": 11}], job="mail")
        event["event"] |= {"time": "2026-11-26T04:30:00Z", "user": "ada"}
        expression.matches(event)
        assert expression.failures == 0, text


def find_position(text: str) -> Position | None:
    try:
        compile_expression(text)
    except ExpressionError as error:
        return error.position
    return None


@given(st.text(max_size=60))
def test_any_text_is_compiled_or_refused_with_a_position(text: str) -> None:
    position = find_position(text)
    assert position is None or (position.line >= 1 and position.column >= 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_any_data_is_answered_with_yes_or_no(data: Any) -> None:
    expression = compile_expression("event.data.amount > 100 || event.data.lines.exists(line, line > 1)")
    assert expression.matches({"event": {"data": data}}) in (True, False)
