"""What counts for one job: the call's option, else the manifest, else the decorator, else the default."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from factories import make_settings
from jetmill.client.declaration import JobOptions
from jetmill.protocol.record import Call
from jetmill.protocol.retry import RetryPolicy
from jetmill.worker.policy import (
    DEFAULT_RETRY,
    DEFAULT_TIMEOUT_SECONDS,
    decide_kind,
    decide_retry_policy,
    decide_timeout_seconds,
)

Executor = Literal["auto", "async", "thread", "process"]
DECORATED = RetryPolicy(max_retries=7, initial_delay_seconds=11.0, factor=1.5, max_delay_seconds=70.0, jitter=False)


@pytest.mark.field(
    "Job.spec.retry.maxRetries",
    "Job.spec.retry.initialDelaySeconds",
    "Job.spec.retry.factor",
    "Job.spec.retry.maxDelaySeconds",
    "Job.spec.retry.jitter",
)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_retries", 0),
        ("initial_delay_seconds", 0.0),
        ("factor", 3.0),
        ("max_delay_seconds", 20.0),
        ("jitter", True),
    ],
)
def test_each_number_of_a_manifests_retry_outranks_the_decorators_by_itself(name: str, value: Any) -> None:
    policy = decide_retry_policy(Call(), make_settings(**{name: value}), JobOptions(retry=DECORATED))
    assert {field: getattr(policy, field) for field in RetryPolicy.__dataclass_fields__} == {
        **{field: getattr(DECORATED, field) for field in RetryPolicy.__dataclass_fields__},
        name: value,
    }


def test_where_nobody_says_anything_the_defaults_count() -> None:
    assert decide_retry_policy(Call(), make_settings(), JobOptions()) == DEFAULT_RETRY
    assert decide_timeout_seconds(Call(), make_settings(), JobOptions()) == DEFAULT_TIMEOUT_SECONDS


@pytest.mark.field("Job.spec.worker.executor")
@pytest.mark.parametrize(
    ("manifest", "decorator", "is_async", "kind"),
    [
        (None, "auto", True, "async"),
        (None, "auto", False, "thread"),
        (None, "process", False, "process"),
        ("thread", "process", False, "thread"),
        ("process", "auto", False, "process"),
        ("process", "auto", True, "process"),
        ("thread", "auto", True, "async"),  # a thread has no loop to run it on
        ("auto", "process", False, "process"),
    ],
)
def test_a_manifests_executor_outranks_the_decorators(
    manifest: Executor | None, decorator: Executor, *, is_async: bool, kind: str
) -> None:
    settings = make_settings(executor=manifest)
    assert decide_kind(settings, JobOptions(executor=decorator), is_async=is_async) == kind


@pytest.mark.field("Job.spec.command")
def test_a_command_is_a_program_whatever_the_decorator_says() -> None:
    assert decide_kind(make_settings(command=["ls"]), JobOptions(executor="thread"), is_async=False) == "command"
