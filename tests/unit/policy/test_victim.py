"""Who leaves: never a worker with a job in hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from factories import make_presence
from jetmill_operator.policy.victim import WorkerSeen, build_workers, choose_drains, choose_victims, note_idle

workers = st.lists(
    st.builds(
        lambda name, busy, since, draining: WorkerSeen(name, busy, None if busy else since, draining),
        st.uuids().map(str),
        st.integers(0, 3),
        st.floats(0, 100) | st.none(),
        st.booleans(),
    ),
    unique_by=lambda worker: worker.worker,
    max_size=12,
)

CREW = [
    WorkerSeen("busy", busy=1),
    WorkerSeen("new"),
    WorkerSeen("short", idle_since=90.0),
    WorkerSeen("long", idle_since=10.0),
    WorkerSeen("full", busy=4),
]


def test_the_longest_idle_leave_first() -> None:
    assert choose_victims(CREW, 2) == ["long", "short"]
    assert choose_victims(CREW, 9) == ["long", "short", "new"]
    assert choose_victims(CREW, 0) == choose_victims(CREW, -1) == []


def test_a_worker_that_drains_already_leaves_before_any_other() -> None:
    assert choose_victims([*CREW, WorkerSeen("told", idle_since=99.0, draining=True)], 1) == ["told"]


def test_where_too_few_are_idle_those_with_the_least_in_hand_are_told_to_drain() -> None:
    assert choose_drains(CREW, 2) == ["long", "short"]
    assert choose_drains(CREW, 4) == ["long", "short", "new", "busy"]
    assert choose_drains([*CREW, WorkerSeen("told", busy=3, draining=True)], 1) == ["told"]


@given(workers=workers, count=st.integers(-1, 20))
def test_no_choice_ever_takes_a_worker_with_a_job_in_hand(workers: list[WorkerSeen], count: int) -> None:
    busy = {worker.worker for worker in workers if worker.busy}
    victims = choose_victims(workers, count)
    assert not busy & set(victims)
    assert len(victims) == len(set(victims)) == min(max(count, 0), len(workers) - len(busy))


@given(workers=workers, count=st.integers(-1, 20), order=st.randoms())
def test_choices_do_not_depend_on_the_order_of_what_was_seen(workers, count, order) -> None:
    shuffled = list(workers)
    order.shuffle(shuffled)
    assert choose_victims(shuffled, count) == choose_victims(workers, count)
    assert choose_drains(shuffled, count) == choose_drains(workers, count)


@given(workers=workers, count=st.integers(0, 20))
def test_whoever_is_told_to_drain_stays_chosen_as_long_as_as_many_shall_leave(workers, count) -> None:
    chosen = choose_drains(workers, count)
    again = [WorkerSeen(one.worker, one.busy, one.idle_since, one.draining or one.worker in chosen) for one in workers]
    draining = sum(one.draining for one in again)
    assert draining > len(chosen) or set(choose_drains(again, count)) == set(chosen)


def test_how_long_a_worker_has_been_idle_counts_from_when_it_was_first_seen_so() -> None:
    calm, at_work = make_presence("calm"), make_presence("worked", busy=2)
    first = note_idle({}, [calm, at_work], time=10.0)
    second = note_idle(first, [calm, make_presence("worked"), make_presence("new")], time=20.0)
    assert second == {"calm": 10.0, "worked": 20.0, "new": 20.0}
    assert note_idle(second, [make_presence("calm", busy=1)], time=30.0) == {}


def test_workers_are_seen_as_their_presence_says() -> None:
    seen = build_workers([make_presence("a", busy=2, draining=True), make_presence("b")], {"b": 5.0})
    assert seen == [WorkerSeen("a", 2, None, True), WorkerSeen("b", 0, 5.0, False)]
