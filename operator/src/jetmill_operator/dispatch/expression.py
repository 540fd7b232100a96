"""Filters of events: CEL expressions, compiled once and asked of every event.

The language is Kubernetes' own (CEL), by the runtime that its authors keep (ADR 16): it checks types and names before
the first event comes, says where a fault is, and gives up what would take too long (a budget of iterations, a limit of
depth). One name is known, `event`: the CloudEvent as a map, whose `data` may have any shape. Hence a field that is not
there, or is of another type than the expression takes it for, shows only with the event: no match, counted and said,
never an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from jetmill.errors import InputError

log = structlog.get_logger(__name__)

MAX_CHARACTERS = 4096
"""The longest expression that is taken; Kubernetes takes 5,120 bytes for its own."""

ENVIRONMENT = cel.NewEnv(
    variables={"event": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)}, extensions=[ext_strings.ExtStrings()]
)

FAULT = re.compile(r"ERROR: <input>:(?P<line>\d+):(?P<column>\d+): (?P<message>[^\n]*)")
"""How the runtime says a fault; further ones follow from the first more often than not."""


@dataclass(frozen=True)
class Position:
    """A place in an expression: both numbers count from 1, columns in characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class ExpressionError(InputError):
    """An expression that can never be asked of an event; `reason` says why and `position` where."""

    def __init__(self, reason: str, position: Position) -> None:
        super().__init__(f"{position}: {reason}", cure="see docs/events.md for the language of filters")
        self.reason = reason
        self.position = position


class Expression:
    """A compiled filter. Safe to share between tasks; `failures` counts the events that it could not be asked of."""

    def __init__(self, text: str, compiled: cel.Expression) -> None:
        self.text = text
        self.failures = 0
        self.last_failure = ""
        self._compiled = compiled

    def matches(self, variables: Mapping[str, Any]) -> bool:
        """Say whether the expression is true of `{"event": {…}}`; what it cannot be asked of does not match."""
        try:
            value = self._compiled.eval(data=variables)
        except RuntimeError as error:  # a value that no CEL type can hold
            return self._fail(str(error))
        answer = value.value()
        if isinstance(answer, bool):
            return answer
        if value.type() == cel.Type.ERROR:
            return self._fail(str(answer))
        return self._fail(f"the answer is of type {value.type().name()}, not a boolean")

    def _fail(self, why: str) -> bool:
        self.failures += 1
        self.last_failure = why
        if self.failures == 1:  # an expression that does not fit its events fails with each of them: said once
            log.warning("expression_failed", expression=self.text, failure=why)
        return False


def compile_expression(text: str) -> Expression:
    """Compile a filter; ExpressionError where it is no CEL, names what is not there, or can be no boolean."""
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"longer than {MAX_CHARACTERS} characters", Position(1, MAX_CHARACTERS + 1))
    try:
        compiled = ENVIRONMENT.compile(text)
    except RuntimeError as error:
        raise read_fault(str(error)) from error
    found = compiled.return_type()
    if found not in (cel.Type.BOOL, cel.Type.DYN):
        raise ExpressionError(f"a filter is true or false; this is of type {found.name()}", Position(1, 1))
    return Expression(text, compiled)


def read_fault(text: str) -> ExpressionError:
    """Read what the runtime says of an expression that it refuses."""
    found = FAULT.search(text)
    if found is None:  # one that is too deep or too long has no place
        return ExpressionError(text.splitlines()[0] if text else "the expression is refused", Position(1, 1))
    return ExpressionError(found["message"], Position(int(found["line"]), int(found["column"])))
