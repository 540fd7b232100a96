"""The port `Admin`: what every adapter promises of streams, consumers and settings."""

from __future__ import annotations

import asyncio

import pytest

from conformance.place import Place
from factories import JOB, make_data, make_hint, make_job_id, make_settings
from jetmill.bus.ports import Bus
from jetmill.errors import NotFoundError, RefusedError
from jetmill.protocol.record import JobSettings
from support.taker import Taker
from support.wait import eventually

pytestmark = pytest.mark.conformance


async def test_applying_a_namespace_again_keeps_what_is_in_it(bus: Bus, place: Place) -> None:
    job_id = make_job_id()
    await bus.ledger.append(job_id, make_data(), expected=0)
    await bus.admin.apply_namespace(replicas=place.replicas)
    assert await bus.ledger.read(job_id) is not None


async def test_settings_are_read_as_they_were_applied(bus: Bus) -> None:
    settings = make_settings(handler="shop.tasks:send", lease_seconds=7.5, max_retries=2, command=["true"])
    await bus.admin.apply_job(settings)
    assert await bus.admin.settings(JOB) == settings


async def test_a_job_that_was_never_applied_has_no_settings(bus: Bus) -> None:
    assert await bus.admin.settings("nobody") is None
    assert await bus.admin.all_settings() == []


async def test_settings_applied_again_replace_the_former(bus: Bus) -> None:
    await bus.admin.apply_job(make_settings(max_retries=1))
    await bus.admin.apply_job(make_settings(max_retries=2))
    settings = await bus.admin.settings(JOB)
    assert settings is not None
    assert settings.max_retries == 2


async def test_all_settings_come_by_name(bus: Bus) -> None:
    for job in ("charlie", "alpha", "bravo"):
        await bus.admin.apply_job(make_settings(job))
    assert [settings.job for settings in await bus.admin.all_settings()] == ["alpha", "bravo", "charlie"]


async def test_applying_a_job_again_keeps_its_hints(bus: Bus) -> None:
    await bus.admin.apply_job(make_settings())
    hint = make_hint()
    await bus.queue.publish(hint)
    await bus.admin.apply_job(make_settings(generation=2))
    await bus.admin.apply_job(make_settings(generation=2))
    assert await bus.queue.hinted(JOB) == {hint.id}
    assert (await Taker(bus, want=1).next()).id == hint.id


@pytest.mark.field("Job.spec.leaseSeconds")
async def test_a_new_lease_time_holds_for_what_is_delivered_from_then_on(bus: Bus, place: Place) -> None:
    await bus.admin.apply_job(make_settings(lease_seconds=600.0))
    await bus.admin.apply_job(make_settings(lease_seconds=1.0))
    await bus.queue.publish(make_hint())
    taker = Taker(bus, want=2)
    await taker.next()
    await place.pass_time(1.0)
    assert (await taker.next()).deliveries == 2


async def one_is_ready(bus: Bus) -> None:
    """Wait until one hint is; a consumer hears of what was published a moment later."""

    async def look() -> bool:
        return (await bus.queue.depth(JOB)).ready == 1

    await eventually(look)


@pytest.mark.field("Job.spec.suspend")
async def test_a_suspended_job_keeps_its_hints_until_it_goes_on(bus: Bus) -> None:
    await bus.admin.apply_job(make_settings())
    await bus.admin.apply_job(make_settings(suspend=True))
    hint = make_hint()
    await bus.queue.publish(hint)
    taker = Taker(bus, want=1)
    await one_is_ready(bus)
    assert taker.taken == []
    await bus.admin.apply_job(make_settings())
    taker.pull.renew()
    assert (await taker.next()).id == hint.id


async def test_a_job_may_begin_suspended(bus: Bus) -> None:
    await bus.admin.apply_job(make_settings(suspend=True))
    await bus.queue.publish(make_hint())
    taker = Taker(bus, want=1)
    await one_is_ready(bus)
    await bus.admin.apply_job(make_settings())
    taker.pull.renew()
    await taker.next()


async def test_what_an_apply_would_write_is_told_before_and_nothing_after(raw_bus: Bus, place: Place) -> None:
    admin, copies, settings = raw_bus.admin, place.replicas, make_settings()
    assert await admin.inspect_namespace(replicas=copies)
    await admin.apply_namespace(replicas=copies)
    assert await admin.inspect_namespace(replicas=copies) == []
    changes = await admin.inspect_job(settings, replicas=copies)
    assert {f"stream {raw_bus.subjects.queue_stream(JOB)}", f"settings of {JOB}"} <= {change.name for change in changes}
    assert all(change.fields == () for change in changes)
    assert await admin.settings(JOB) is None
    await admin.apply_job(settings, replicas=copies)
    assert await admin.inspect_job(settings, replicas=copies) == []


async def test_what_an_apply_would_change_is_told_field_by_field(bus: Bus, place: Place) -> None:
    await bus.admin.apply_job(make_settings(), replicas=place.replicas)
    changed = make_settings(lease_seconds=7.5, suspend=True, max_retries=3)
    changes = await bus.admin.inspect_job(changed, replicas=place.replicas)
    stream = bus.subjects.queue_stream(JOB)
    assert [change.name for change in changes] == [
        *(f"consumer {band} of {stream}" for band in ("high", "normal", "low")),
        f"settings of {JOB}",
    ]
    assert all(change.fields == ("ack_wait", "paused") for change in changes[:3])
    assert set(changes[3].fields) == {"lease_seconds", "max_retries", "suspend"}


async def test_a_removed_job_is_to_be_made_anew(bus: Bus, place: Place) -> None:
    await bus.admin.apply_job(make_settings(), replicas=place.replicas)
    await bus.admin.remove_job(JOB)
    assert f"settings of {JOB}" in {c.name for c in await bus.admin.inspect_job(make_settings(), replicas=1)}


async def test_removing_a_job_takes_its_settings_and_hints_and_leaves_the_ledger(bus: Bus) -> None:
    job_id = make_job_id()
    await bus.admin.apply_job(make_settings())
    await bus.ledger.append(job_id, make_data(), expected=0)
    await bus.queue.publish(make_hint(id=job_id))
    await bus.admin.remove_job(JOB)
    assert await bus.admin.settings(JOB) is None
    with pytest.raises(NotFoundError):
        await bus.queue.depth(JOB)
    assert await bus.ledger.read(job_id) is not None
    await bus.admin.apply_job(make_settings())
    assert await bus.queue.hinted(JOB) == set()


async def test_removing_a_job_that_is_not_there_is_no_error(bus: Bus) -> None:
    await bus.admin.remove_job("nobody")


async def test_a_writer_who_saw_other_settings_than_stand_there_is_refused_and_changes_nothing(bus: Bus) -> None:
    """One that was asleep while another decided: its word is out of date."""
    await bus.admin.apply_job(make_settings(generation=1))
    seen = await bus.admin.settings(JOB)
    await bus.admin.apply_job(make_settings(generation=2), before=seen)
    with pytest.raises(RefusedError, match="have changed"):
        await bus.admin.apply_job(make_settings(generation=1, suspend=True), before=seen)
    assert await bus.admin.settings(JOB) == make_settings(generation=2)
    await bus.queue.publish(make_hint())
    await Taker(bus, want=1).next()  # the queue was not suspended either


async def test_who_saw_no_settings_is_refused_once_there_are_some_and_who_saw_some_once_there_are_none(
    bus: Bus,
) -> None:
    first = make_settings(uid="one")
    await bus.admin.apply_job(first, before=None)
    with pytest.raises(RefusedError):
        await bus.admin.apply_job(make_settings(uid="two"), before=None)
    await bus.admin.remove_job(JOB)
    with pytest.raises(RefusedError):
        await bus.admin.apply_job(make_settings(uid="one", generation=2), before=first)
    assert await bus.admin.settings(JOB) is None
    await bus.admin.apply_job(make_settings(uid="two"), before=None)


async def test_what_stands_there_already_may_be_applied_whatever_was_seen(bus: Bus) -> None:
    """A writer whose answer was lost tries again."""
    await bus.admin.apply_job(make_settings(generation=3), before=None)
    await bus.admin.apply_job(make_settings(generation=3), before=None)


async def test_of_writers_at_the_same_time_who_saw_the_same_one_wins(bus: Bus, place: Place) -> None:
    await bus.admin.apply_job(make_settings())
    other = await place.connect()
    wanted = [make_settings(generation=number) for number in (1, 2)]
    done = await asyncio.gather(
        *(one.admin.apply_job(new, before=make_settings()) for one, new in zip((bus, other), wanted, strict=True)),
        return_exceptions=True,
    )
    winner = next(new for new, answer in zip(wanted, done, strict=True) if answer is None)
    assert [type(answer) for answer in done if answer is not None] == [RefusedError]
    assert await bus.admin.settings(JOB) == winner


async def test_only_its_own_object_removes_a_job(bus: Bus) -> None:
    """Whoever still acts for an object that is gone leaves alone what was made under its name since."""
    await bus.admin.apply_job(make_settings(uid="second"))
    hint = make_hint()
    await bus.queue.publish(hint)
    with pytest.raises(RefusedError, match="another object"):
        await bus.admin.remove_job(JOB, uid="first")
    assert await bus.admin.settings(JOB) == make_settings(uid="second")
    assert await bus.queue.hinted(JOB) == {hint.id}
    await bus.admin.remove_job(JOB, uid="second")
    assert await bus.admin.settings(JOB) is None
    await bus.admin.remove_job(JOB, uid="second")


async def test_a_job_that_is_nobodys_may_be_removed_by_anybody(bus: Bus) -> None:
    await bus.admin.apply_job(make_settings())
    await bus.admin.remove_job(JOB, uid="any")
    assert await bus.admin.settings(JOB) is None


async def test_who_watches_hears_of_every_job_now_and_at_each_change(bus: Bus, place: Place) -> None:
    await bus.admin.apply_job(make_settings("alpha"))
    heard: list[tuple[str, JobSettings | None]] = []
    watcher = await place.connect()
    stop = await watcher.admin.watch_settings(lambda job, settings: heard.append((job, settings)))
    await eventually(lambda: heard == [("alpha", make_settings("alpha"))])
    # One after the other: of changes that follow fast, only the last is told.
    await bus.admin.apply_job(make_settings("bravo"))
    await eventually(lambda: heard[-1] == ("bravo", make_settings("bravo")))
    await bus.admin.apply_job(make_settings("alpha", max_retries=9))
    await eventually(lambda: heard[-1] == ("alpha", make_settings("alpha", max_retries=9)))
    await bus.admin.remove_job("bravo")
    await eventually(lambda: heard[-1] == ("bravo", None))
    assert len(heard) == 4
    stop()


async def test_who_stops_watching_hears_no_more(bus: Bus) -> None:
    stopped: list[str] = []
    heard: list[str] = []
    stop = await bus.admin.watch_settings(lambda job, _: stopped.append(job))
    await bus.admin.watch_settings(lambda job, _: heard.append(job))
    stop()
    stop()
    await bus.admin.apply_job(make_settings())
    await eventually(lambda: heard == [JOB])
    assert stopped == []


async def test_namespaces_do_not_see_each_other(bus: Bus, place: Place) -> None:
    other = await place.connect(namespace="elsewhere" + place.namespace[-8:])
    await other.admin.apply_namespace(replicas=place.replicas)
    job_id = make_job_id()
    await bus.admin.apply_job(make_settings())
    await bus.ledger.append(job_id, make_data(), expected=0)
    assert await other.ledger.read(job_id) is None
    assert await other.ledger.last_seq() == 0
    assert await other.admin.all_settings() == []
    with pytest.raises(NotFoundError):
        await other.queue.depth(JOB)
