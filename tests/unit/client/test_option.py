"""What a caller may ask for of one call, and what is refused with its name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jetmill.client.option import CallOptions
from jetmill.errors import InputError, InvalidNameError

NOW = 1_780_000_000_000_000


def test_a_delay_counts_from_the_servers_clock() -> None:
    assert CallOptions().updated(delay=1.5).due(NOW) == NOW + 1_500_000
    assert CallOptions().updated(delay=timedelta(minutes=1)).due(NOW) == NOW + 60_000_000
    assert CallOptions().updated(delay=0).due(NOW) is None
    assert CallOptions().due(NOW) is None


def test_a_time_in_any_zone_is_the_moment_it_means() -> None:
    berlin = datetime(2030, 7, 1, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    assert CallOptions().updated(at=berlin).due(NOW) == CallOptions().updated(at=berlin.astimezone(UTC)).due(NOW)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"at": datetime(2030, 1, 1)}, "at"),  # noqa: DTZ001 - naive is the point
        ({"start_by": datetime(2030, 1, 1)}, "start_by"),  # noqa: DTZ001 - the same
        ({"at": "2030"}, "at"),
        ({"delay": -1}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"delay": 1e300}, "delay"),
        ({"delay": True}, "delay"),
        ({"delay": 1, "at": datetime(2030, 1, 1, tzinfo=UTC)}, "at"),
        ({"timeout": 0}, "timeout"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
        ({"labels": {"a": 1}}, "labels.a"),
        ({"labels": ["a"]}, "labels"),
        ({"user": 3}, "user"),
        ({"priority": "urgent"}, "priority"),
        ({"prioritty": 1}, "prioritty"),
        ({"concurrency_key": ""}, "concurrency_key"),
        ({"concurrency_key": "a\n"}, "concurrency_key"),
        ({"concurrency_key": "\ud800"}, "concurrency_key"),
        ({"concurrency_key": "x" * 257}, "concurrency_key"),
        ({"concurrency_key": 7}, "concurrency_key"),
        ({"concurrency_key": "a", "concurrency_policy": "forbid"}, "concurrency_policy"),
        ({"concurrency_policy": "skip"}, "concurrency_policy"),
    ],
)
def test_an_option_that_cannot_be_is_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        CallOptions().updated(**options)
    assert caught.value.field == field


def test_an_id_has_to_be_a_label() -> None:
    with pytest.raises(InvalidNameError, match="id_from_key"):
        CallOptions().updated(id="order.1")


def test_a_deadline_given_as_a_span_counts_from_when_the_job_may_start() -> None:
    call = CallOptions().updated(delay=60, start_by=timedelta(seconds=30)).call(NOW, trace=None)
    assert call.start_by == NOW + 90_000_000


def test_the_calls_labels_stand_over_the_declarations() -> None:
    call = CallOptions().updated(labels={"a": "2"}).call(NOW, trace=None, labels={"a": "1", "b": "1"})
    assert call.labels == {"a": "2", "b": "1"}
