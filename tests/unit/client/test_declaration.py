"""`@job`: the function stays what it was, and gets a name, options and a way into the queue."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetmill.client.declaration import JobHandler, Registry, default_registry, job
from jetmill.client.flow import NonRetryable, RetryAfter
from jetmill.client.schedule import Schedule
from jetmill.errors import ConfigError, InputError, InvalidNameError
from jetmill.protocol.retry import RetryPolicy


def test_a_handler_can_be_called_like_the_function(registry: Registry) -> None:
    @job(registry=registry)
    def add(one: int, two: int = 2) -> int:
        """Sum."""
        return one + two

    assert add(1) == 3
    assert add.__doc__ == "Sum."
    assert repr(add) == "<job add: " + add.origin + ">"
    assert list(inspect.signature(add).parameters) == ["one", "two"]


async def test_a_coroutine_handler_is_awaited_like_the_function(registry: Registry) -> None:
    @job(registry=registry)
    async def fetch(number: int) -> int:
        return number

    assert fetch.is_async
    assert await fetch(3) == 3


def test_a_handler_says_when_it_is_to_be_run(registry: Registry) -> None:
    @job(registry=registry, schedule="0 3 * * *")
    def nightly() -> None: ...

    @job(
        registry=registry,
        schedule=Schedule(every=timedelta(minutes=5), payload={"at": datetime(2027, 1, 1, tzinfo=UTC)}, jitter=3),
    )
    def often(at: datetime) -> None: ...

    assert nightly.declared.schedule is not None
    assert nightly.declared.schedule.spec == {"schedule": "0 3 * * *"}
    assert often.declared.schedule is not None
    assert often.declared.schedule.spec == {
        "every": "300s",
        "payload": {"at": "2027-01-01T00:00:00Z"},
        "jitterSeconds": 3,
    }
    assert (repr(nightly.declared.schedule), repr(often.declared.schedule)) == (
        "<schedule 0 3 * * *>",
        "<schedule every 300s>",
    )


def test_what_can_be_no_schedule_is_refused_where_it_is_written() -> None:
    with pytest.raises(InputError, match="cron or every"):
        Schedule()
    with pytest.raises(InputError, match="cron or every"):
        Schedule("0 3 * * *", every="5m")
    with pytest.raises(InputError, match="payload"):
        Schedule("0 3 * * *", payload={"x": float("nan")})


def test_without_a_name_it_is_the_functions_with_dashes(registry: Registry) -> None:
    @job(registry=registry)
    def send_welcome_Email() -> None: ...  # noqa: N802 - the point

    assert registry.names() == ["send-welcome-email"]


def test_bare_job_declares_into_the_registry_of_the_process() -> None:
    @job
    def bare_declaration() -> None: ...

    try:
        assert isinstance(bare_declaration, JobHandler)
        assert default_registry.get("bare-declaration") is bare_declaration
    finally:
        default_registry.remove("bare-declaration")


@pytest.mark.parametrize("name", ["Send", "a.b", "a b", "", "-a", "a" * 64, "*", ">"])
def test_a_name_that_could_break_a_subject_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises(InvalidNameError):
        job(name, registry=registry)(lambda: None)


def test_a_function_whose_name_cannot_be_a_jobs_is_told_to_take_another(registry: Registry) -> None:
    def _private() -> None: ...

    with pytest.raises(InvalidNameError, match='@job\\("…"\\)'):
        job(registry=registry)(_private)


def test_two_functions_of_one_name_are_refused_and_both_named(registry: Registry) -> None:
    @job("send", registry=registry)
    def first() -> None: ...

    with pytest.raises(ConfigError, match=r"first.*second"):

        @job("send", registry=registry)
        def second() -> None: ...


def test_a_module_that_is_loaded_again_replaces_its_own_handlers(registry: Registry) -> None:
    source = compile("def send(): ...", "tasks.py", "exec")
    handler = None
    for module in ("__main__", "tasks"):
        space: dict[str, object] = {"__name__": module}
        exec(source, space)
        handler = job(registry=registry)(space["send"])  # type: ignore[call-overload]
    assert registry.get("send") is handler


def test_retries_are_a_policy_or_a_number(registry: Registry) -> None:
    policy = RetryPolicy(max_retries=7, initial_delay_seconds=1)
    one = job("one", retry=policy, registry=registry)(lambda: None)
    two = job("two", retry=5, registry=registry)(lambda: None)
    three = job("three", registry=registry)(lambda: None)
    assert (one.declared.max_retries, one.settings().initial_delay_seconds) == (7, 1)
    assert (two.declared.max_retries, two.settings().initial_delay_seconds) == (5, None)
    assert three.settings().max_retries is None


@pytest.mark.parametrize("keywords", [{"max_retries": -1}, {"retry": -2}, {"timeout_seconds": 0}])
def test_numbers_that_make_no_sense_are_refused(registry: Registry, keywords: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        job(registry=registry, **keywords)(test_a_handler_can_be_called_like_the_function)  # type: ignore[call-overload]


@pytest.mark.parametrize(("priority", "band"), [(3, "high"), (0, "normal"), (-1, "low"), ("high", "high")])
def test_integers_map_to_bands(registry: Registry, priority: Any, band: str) -> None:
    handler = job("send", priority=priority, registry=registry)(lambda: None)
    assert handler.declared.priority == band


def test_a_priority_that_is_no_band_is_refused(registry: Registry) -> None:
    with pytest.raises(InputError, match="high, normal, low"):
        job("send", priority="urgent", registry=registry)(lambda: None)  # type: ignore[call-overload]


def test_retry_after_takes_no_time_that_is_not_to_come() -> None:
    assert RetryAfter(3).seconds == 3
    for seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            RetryAfter(seconds)
    assert str(NonRetryable("no such user")) == "no such user"
