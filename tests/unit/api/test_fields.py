"""`make check-fields` says which field lacks a test, and cannot be fooled."""

from __future__ import annotations

from support.fields import compare

LEAVES = ["Job.spec.handler", "Job.status.reason", "Webhook.status.reason"]


def entry(*fields: str, passed: bool = True) -> dict[str, object]:
    return {"fields": list(fields), "passed": passed}


def test_all_is_proven_when_each_field_has_a_test_that_passed() -> None:
    assert compare({"a": entry("Job.spec.handler"), "b": entry("*.status.reason")}, LEAVES) == []


def test_a_field_without_a_test_is_named() -> None:
    assert compare({"a": entry("Job.spec.handler", "Job.status.reason")}, LEAVES) == ["no test: Webhook.status.reason"]


def test_a_test_that_failed_proves_nothing() -> None:
    record = {"a": entry("Job.spec.handler", passed=False), "b": entry("*.status.reason")}
    assert compare(record, LEAVES) == ["did not pass: a", "no test: Job.spec.handler"]


def test_a_mark_that_names_no_field_is_a_fault() -> None:
    """A field that was renamed takes its mark with it; and a branch is no leaf."""
    record = {"a": entry("Job.spec.handler", "*.status.reason"), "b": entry("Job.spec", "Job.spec.handlr")}
    assert compare(record, LEAVES) == ["no such field: Job.spec (b)", "no such field: Job.spec.handlr (b)"]
