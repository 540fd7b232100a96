"""Which Jobs a worker serves, as manifests come, change and go."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from factories import make_settings
from jetmill.client.declaration import Registry, job
from jetmill.worker.resource import Resources
from jetmill.worker.roster import DEFAULT_LEASE_SECONDS, Roster

KNOWN, UNKNOWN = "unit.worker.plain_jobs:length", "unit.worker.plain_jobs:nowhere"


@pytest.fixture
def registry() -> Registry:
    registry = Registry()

    @job(registry=registry)
    async def main() -> None: ...

    return registry


@pytest.fixture
def roster(registry: Registry) -> Roster:
    roster = Roster(("main",), registry, Resources(None))
    roster.note("main", make_settings("main", lease_seconds=20.0, concurrency=10))
    return roster


def rider(name: str = "rider", **fields: Any) -> Any:
    return make_settings(name, **{"carrier": "main", "handler": KNOWN, **fields})


def test_what_was_named_is_served_without_a_manifest_too(registry: Registry) -> None:
    roster = Roster(("main", "other"), registry, Resources(None))
    roster.note("main", make_settings("main", timeout_seconds=5.0))
    roster.note_undeclared()
    assert roster.jobs == ("main", "other")
    assert roster.served["main"].default_timeout_seconds == 5.0
    assert roster.served["other"].missing


def test_other_jobs_are_none_of_its_business(roster: Roster) -> None:
    assert not roster.note("other", make_settings("other", handler=KNOWN))
    assert not roster.note("other", make_settings("other", handler=KNOWN, carrier="elsewhere"))
    assert not roster.note("other", None)
    assert roster.jobs == ("main",)


def test_a_rider_comes_with_its_manifest_and_leaves_with_it(roster: Roster) -> None:
    assert roster.note("rider", rider())
    assert roster.note("another", rider("another"))
    assert list(roster.jobs) == ["main", "another", "rider"]
    assert roster.note("rider", None)
    assert list(roster.jobs) == ["main", "another"]


@pytest.mark.parametrize("carrier", [None, "elsewhere"])
def test_a_rider_that_names_another_carrier_or_none_leaves(roster: Roster, carrier: str | None) -> None:
    roster.note("rider", rider())
    assert roster.note("rider", rider(carrier=carrier))
    assert roster.jobs == ("main",)
    assert not roster.note("rider", rider(carrier=carrier))


def test_who_rides_on_a_rider_is_not_served(roster: Roster) -> None:
    roster.note("rider", rider())
    assert not roster.note("second", rider("second", carrier="rider"))


def test_what_was_named_stays_whatever_its_manifest_says(roster: Roster) -> None:
    for settings in (make_settings("main", carrier="elsewhere"), None):
        assert roster.note("main", settings)
        assert roster.jobs == ("main",)


def test_riders_share_the_slots_of_those_that_carry_them(roster: Roster) -> None:
    roster.note("rider", rider(concurrency=500))
    roster.note("small", rider("small", concurrency=2))
    assert roster.slots(None) == 10
    assert roster.slots(7) == 7
    assert roster.served["small"].limit(10) == 2


def test_leases_are_those_of_all_that_is_served_or_in_hand(roster: Roster) -> None:
    assert roster.leases() == (20.0, 20.0)
    roster.note("rider", rider(lease_seconds=120.0))
    assert roster.leases() == (20.0, 120.0)
    roster.note("rider", None)
    assert roster.leases() == (20.0, 20.0)
    assert roster.leases(["rider", "rider"]) == (20.0, 120.0)
    assert roster.lease_seconds("unheard-of") == DEFAULT_LEASE_SECONDS


def test_a_handler_that_is_not_known_here_leaves_the_one_before_at_work(roster: Roster) -> None:
    """The image was changed with the manifest, and this worker is of the old one."""
    roster.note("main", make_settings("main", handler=UNKNOWN, executor="process", timeout_seconds=7.0))
    served = roster.served["main"]
    assert (served.missing, served.kind, served.default_timeout_seconds) == ("", "async", 7.0)
    assert served.handler is not None
    assert "nowhere" in served.kept
    roster.note("main", make_settings("main", handler=UNKNOWN, timeout_seconds=8.0))
    assert roster.served["main"].default_timeout_seconds == 8.0
    roster.note("main", make_settings("main", handler=KNOWN))
    assert (roster.served["main"].kept, roster.served["main"].settings.handler) == ("", KNOWN)


def test_a_handler_that_is_missing_or_kept_is_said_once(roster: Roster) -> None:
    with capture_logs() as lines:
        for number in range(3):
            roster.note("main", make_settings("main", handler=UNKNOWN, generation=number))
            roster.note("rider", rider(handler=UNKNOWN, generation=number))
    said = [(line["event"], line["job"]) for line in lines if line["log_level"] == "warning"]
    assert said == [("handler_kept", "main"), ("handler_missing", "rider")]


def test_a_command_goes_on_where_the_handler_after_it_is_not_known(roster: Roster) -> None:
    roster.note("main", make_settings("main", command=["true"]))
    roster.note("main", make_settings("main", handler=UNKNOWN))
    served = roster.served["main"]
    assert (served.kind, served.settings.command, served.missing) == ("command", ["true"], "")


def test_nothing_of_a_job_that_was_deleted_is_kept_for_the_next_of_its_name(roster: Roster) -> None:
    roster.note("rider", rider(uid="one"))
    roster.note("rider", rider(uid="two", handler=UNKNOWN))
    assert roster.served["rider"].missing
    roster.note("main", None)
    roster.note("main", make_settings("main", handler=UNKNOWN))
    assert not roster.served["main"].missing  # by its name, the handler was known without a manifest
    roster.note("rider", rider(uid="two"))
    roster.note("rider", None)
    roster.note("rider", rider(handler=UNKNOWN))
    assert roster.served["rider"].missing
